"""Programs on a GPU: launched, timed, compared with what is counted. Needs PyTorch and Triton: `pip install 'iosim[torch]'`.

`attention` is what other code calls; `iosim gpu run` and `iosim gpu validate` are the verbs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iosim.gpu.tensors import attention as attention
    from iosim.gpu.tensors import register as register

__all__ = ["attention", "register"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'iosim.gpu' has no attribute {name!r}")
    from iosim.gpu import tensors as module

    return getattr(module, name)
