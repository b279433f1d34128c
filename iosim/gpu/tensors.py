"""Attention on PyTorch tensors by the generated kernels of any algorithm, and under a name for the transformers library.

The kernels are made for each shape when it first comes, and kept. On CPU tensors they run in Triton's interpreter, which is
for tests; Triton must then be imported with TRITON_INTERPRET=1 in the environment, or not yet.
"""

from __future__ import annotations

import atexit
import math
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from iosim.errors import UsageError
from iosim.gpu.cases import Case, no_longer, work_of
from iosim.gpu.device import TORCH_NAMES, Device, Loaded, loaded
from iosim.interpret.triton import FORMATS

if TYPE_CHECKING:
    import torch

_OPEN = ExitStack()  # of the files of loaded modules, which the interpreter reads again
atexit.register(_OPEN.close)
_FORMATS = {TORCH_NAMES[name]: name for name in FORMATS}
_ROWS = 64  # of a tile, if none is given
_UNSUPPORTED = ("softcap", "position_bias", "s_aux")  # what some models of the transformers library ask for besides


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    algo: str = "flash2",
    causal: bool = False,
    scale: float | None = None,
    degree: int | None = None,
    num_warps: int | None = None,
    num_stages: int | None = None,
    **tiles: int,
) -> torch.Tensor:
    """Attention of each head, computed by the kernels of an algorithm.

    Args:
        q, k, v: on one device, in one format: float32, float16 or bfloat16.
        algo: a registered algorithm.
        causal: whether a query meets only keys up to its own; the last query meets all.
        scale: of the scores; 1/sqrt(d) if not given.
        degree: of the polynomial, for approximate algorithms.
        num_warps, num_stages: of Triton.
        **tiles: sizes by name, at most those of the axes that they cut; for flash2 64 rows if none are given.

    Shapes: q: [batch, heads, n, d], k: [batch, kv_heads, n_k, d], v: [batch, kv_heads, n_k, d]; kv_heads divides heads;
        result: as q.

    Raises:
        UsageError: shapes or formats that don't fit together, or what the algorithm is not for.
        NotLowerable: no kernel does that.
    """
    _check(q, k, v)
    batch, heads, n, d = q.shape
    n_k = int(k.shape[2])
    if k.shape[1] != heads:
        k, v = (x.repeat_interleave(heads // x.shape[1], dim=1) for x in (k, v))
    if scale is not None:
        q = q * (scale * math.sqrt(d))
    if not tiles and algo in ("flash", "flash2"):
        tiles = {"B_r": _ROWS, "B_c": _ROWS}
    case = Case(
        algorithm=algo,
        n=int(n),
        n_k=n_k,
        d=int(d),
        heads=int(batch * heads),
        mask="causal" if causal else "full",
        dtype=_FORMATS[str(q.dtype).removeprefix("torch.")],
        degree=degree,
        tiles=no_longer(tiles, algo, {"n": int(n), "n_k": n_k, "d": int(d), "d_v": int(d)}),
        num_warps=num_warps,
        num_stages=num_stages,
    )
    module = _module(case, q.device.type)
    device = _device(q.device.type)
    found: dict[str, Any] = {}
    for parameter in module.kernels.parameters:
        if parameter.name in ("Q", "K", "V"):
            found[parameter.name] = {"Q": q, "K": k, "V": v}[parameter.name].reshape(parameter.shape).contiguous()
        elif parameter.role == "constant":
            found[parameter.name] = _constant(module, parameter.name, q.device)
        else:
            found[parameter.name] = q.new_empty(parameter.shape, dtype=device.dtype(parameter.dtype))
    device.launch(module, found)
    result: torch.Tensor = found["O"].reshape(q.shape).to(q.dtype)
    return result


def register(name: str = "iosim", **settings: Any) -> None:
    """Makes `attention` with these settings known to the transformers library: `attn_implementation=name`.

    Models then call it where the mask is full or causal; a mask with padding, or another that is neither, is an error.

    Args:
        name: what models call it.
        **settings: of `attention`: algo, degree, tiles.

    Raises:
        UsageError: the transformers library is not installed, or would not take the name as it is.

    Example:
        register("iosim", algo="flash2", B_r=64, B_c=64)
        model = AutoModelForCausalLM.from_pretrained(..., attn_implementation="iosim")
    """
    if "flash" in name or "|" in name or "/" in name:
        raise UsageError(f"register {name}: the transformers library knows kernels by such names; allowed: others")
    try:
        from transformers import AttentionInterface
        from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
    except ImportError as error:
        raise UsageError(
            f"this needs the transformers library ({error}); allowed: pip install 'iosim[torch]'"
        ) from error
    AttentionInterface.register(name, partial(_forward, settings=settings))
    AttentionMaskInterface.register(name, sdpa_mask)


def _forward(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    settings: Mapping[str, Any],
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """What the transformers library calls. Shapes: as `attention`; the result is [batch, n, heads, d]."""
    asked = [name for name in _UNSUPPORTED if others.get(name) is not None] + (["dropout"] if dropout else [])
    if asked:
        raise UsageError(f"attention: the model asks for {', '.join(asked)}; allowed: without")
    if attention_mask is None:
        causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    else:
        causal = _is_causal(attention_mask, query.shape[2], key.shape[2])
    found = attention(query, key, value, causal=causal, scale=scaling, **settings)
    return found.transpose(1, 2).contiguous(), None


def _is_causal(mask: torch.Tensor, n: int, n_k: int) -> bool:
    """Whether a mask of booleans is the causal one; False if every query meets every key.

    Shapes: mask: [batch, 1 or heads, n, n_k].

    Raises:
        UsageError: it is neither.
    """
    met = mask[..., :n_k]
    met = met if str(met.dtype) == "torch.bool" else met == 0
    if bool(met.all()):
        return False
    below = met.new_ones((n, n_k)).tril(n_k - n)
    if met.shape[-2] == n and bool((met == below).all()):
        return True
    raise UsageError(
        "attention: the mask is neither full nor causal; allowed: sequences of one length, without padding"
    )


def _check(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> None:
    shapes = [list(x.shape) for x in (q, k, v)]
    if any(len(shape) != 4 for shape in shapes) or not (
        shapes[0][0] == shapes[1][0]
        and shapes[1] == shapes[2]
        and shapes[0][3] == shapes[1][3]
        and shapes[1][1] > 0
        and shapes[0][1] % shapes[1][1] == 0
        and min(shapes[0] + shapes[1]) > 0
    ):
        raise UsageError(
            f"attention: q {shapes[0]}, k {shapes[1]}, v {shapes[2]}; allowed: [batch, heads, n, d] and twice "
            "[batch, kv_heads, n_k, d], kv_heads a divisor of heads"
        )
    names = {str(x.dtype).removeprefix("torch.") for x in (q, k, v)}
    if len(names) > 1 or not names <= set(_FORMATS):
        raise UsageError(f"attention: tensors of {', '.join(sorted(names))}; allowed: one of {', '.join(_FORMATS)}")
    if len({x.device for x in (q, k, v)}) > 1:
        raise UsageError("attention: tensors on different devices; allowed: one")


@cache
def _device(kind: str) -> Device:
    if kind not in ("cuda", "cpu"):
        raise UsageError(f"attention: tensors on {kind}; allowed: cuda, cpu")
    device = Device("cuda" if kind == "cuda" else "cpu")
    if kind == "cpu":
        device.check_interpreter()
    return device


@cache
def _module(case: Case, kind: str) -> Loaded:
    _device(kind)
    return _OPEN.enter_context(loaded(work_of(case).kernels))


_CONSTANTS: dict[tuple[int, str, Any], Any] = {}


def _constant(module: Loaded, name: str, where: Any) -> Any:
    """An array of numbers that the kernels know, made once for each device."""
    key = (id(module), name, where)
    if key not in _CONSTANTS:
        (parameter,) = [each for each in module.kernels.parameters if each.name == name]
        _CONSTANTS[key] = _device(where.type).constant(parameter).to(where)
    return _CONSTANTS[key]
