"""Generated kernels as a module: Triton, which has to be there, reads the text of functions from a file."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from iosim.errors import UsageError


def check_triton() -> None:
    """Refuses to go on without Triton.

    Raises:
        UsageError: Triton is not installed.
    """
    if importlib.util.find_spec("triton") is None:
        raise UsageError("Triton is not installed; allowed: pip install 'iosim[gpu]'")


@contextmanager
def imported(source: str, name: str = "iosim_kernels") -> Iterator[ModuleType]:
    """The module with that source and name; its file is there while the context lasts."""
    with tempfile.TemporaryDirectory(prefix="iosim-") as folder:
        path = Path(folder) / f"{name}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
