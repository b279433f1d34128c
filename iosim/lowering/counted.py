"""What do generated kernels load and store, element by element? They run in Triton's interpreter, on a CPU.

Every load and store of the interpreter passes through a counter, which tells arrays apart by their addresses. Elements
that a mask leaves out do not count. Needs Triton (extra `[gpu]`), not PyTorch.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from iosim.errors import ExecutionError, UsageError
from iosim.interpret.triton import Kernels, Parameter
from iosim.lowering.modules import check_triton, imported

Array: TypeAlias = NDArray[Any]

_TYPES = {"fp32": np.float32, "fp16": np.float16, "int32": np.int32}
_GUARD = 64  # elements around each array that no kernel may touch


@dataclass(frozen=True, slots=True)
class Counted:
    """What kernels moved and computed.

    Attributes:
        loads: elements loaded, by array. Those of constants, which no program counts, are apart.
        stores: elements stored, by array.
        constants: elements of constants loaded, by array.
        outputs: the output arrays.
    """

    loads: Mapping[str, int]
    stores: Mapping[str, int]
    constants: Mapping[str, int]
    outputs: Mapping[str, Array]


def run_counted(kernels: Kernels, inputs: Mapping[str, Array]) -> Counted:
    """Runs the launches of `kernels` one program after the other, and counts.

    Args:
        kernels: with inputs and outputs in fp32 or fp16.
        inputs: an array for each input, which is rounded to its dtype.

    Shapes: as the parameters say.
    Units: elements.
    Raises:
        UsageError: Triton is missing, too old, or not in interpreter mode; a dtype that the interpreter gets wrong.
        ExecutionError: a kernel touches an address outside its arrays; an input is missing or of another shape.
    """
    interpreter = _interpreter()
    arrays = {parameter.name: _allocate(parameter, inputs) for parameter in kernels.parameters}
    counter = _Counter(interpreter, arrays)
    with imported(kernels.source) as module, _counting(counter), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of numpy, about padding: 0/0, the maximum of nothing
        warnings.simplefilter("ignore", DeprecationWarning)  # of numpy, about the interpreter of Triton 3.6
        from triton.runtime.errors import InterpreterError

        for launch in kernels.launches:
            handles = [_Handle(arrays[name]) for name in launch.parameters]
            try:
                getattr(module, launch.function)[launch.grid](*handles)
            except InterpreterError as error:  # around whatever a kernel raises
                if isinstance(error.__cause__, ExecutionError):
                    raise error.__cause__ from None
                raise
    roles = {parameter.name: parameter.role for parameter in kernels.parameters}
    return Counted(
        loads={name: found for name, found in sorted(counter.loads.items()) if roles[name] != "constant"},
        stores=dict(sorted(counter.stores.items())),
        constants={name: found for name, found in sorted(counter.loads.items()) if roles[name] == "constant"},
        outputs={name: arrays[name] for name, role in roles.items() if role == "output"},
    )


def _interpreter() -> ModuleType:
    """Triton's interpreter, as a module."""
    if "triton" not in sys.modules:
        check_triton()
        os.environ["TRITON_INTERPRET"] = "1"  # Triton reads it when it is imported, and never again
    import triton
    from triton.runtime import interpreter

    if not isinstance(triton.language.sum, interpreter.InterpretedFunction):
        raise UsageError("Triton was imported without its interpreter; allowed: TRITON_INTERPRET=1 in the environment")
    version = tuple(int(x) for x in triton.__version__.split(".")[:2])
    if version < (3, 7) and tuple(int(x) for x in np.__version__.split(".")[:2]) >= (2, 4):
        raise UsageError(f"Triton {triton.__version__} interprets with numpy < 2.4 only, found {np.__version__}")
    return interpreter  # type: ignore[no-any-return]


def _allocate(parameter: Parameter, inputs: Mapping[str, Array]) -> Array:
    """The array of a parameter, as part of a longer one; what no input gives a value is NaN."""
    if parameter.dtype not in _TYPES:
        raise UsageError(
            f"{parameter.name}: Triton's interpreter multiplies {parameter.dtype} wrongly; allowed: fp32, fp16"
        )
    kind = np.dtype(_TYPES[parameter.dtype])
    size = int(np.prod(parameter.shape))
    whole = np.full(size + 2 * _GUARD, np.nan if kind.kind == "f" else -1, dtype=kind)
    array = whole[_GUARD : _GUARD + size].reshape(parameter.shape)
    if parameter.role == "constant":
        array[...] = parameter.values
    elif parameter.role == "input":
        if parameter.name not in inputs:
            raise ExecutionError(f"input {parameter.name} is missing, its shape is {list(parameter.shape)}")
        given = inputs[parameter.name]
        if given.shape != parameter.shape:
            raise ExecutionError(f"{parameter.name} is {list(given.shape)}, declared as {list(parameter.shape)}")
        array[...] = given
    return array


class _Handle:
    """An array in the place of a tensor: what Triton's interpreter asks of one."""

    def __init__(self, array: Array) -> None:
        from triton import language as tl

        self._array = array
        self.dtype = {np.float32: tl.float32, np.float16: tl.float16, np.int32: tl.int32}[array.dtype.type]

    def data_ptr(self) -> int:
        return int(self._array.ctypes.data)

    def untyped_storage(self) -> _Handle:
        return self

    def cpu(self) -> _Handle:
        return self

    def new_empty(self, *_: object, **__: object) -> _Handle:
        return _Handle(self._array)

    def set_(self, *_: object) -> None:
        """The storage is the same already."""

    def copy_(self, _: object) -> None:
        """The results are in place already."""

    def storage_offset(self) -> int:
        return 0

    def size(self) -> tuple[int, ...]:
        return self._array.shape

    def stride(self) -> tuple[int, ...]:
        return tuple(step // self._array.itemsize for step in self._array.strides)

    def element_size(self) -> int:
        return int(self._array.itemsize)


class _Counter:
    """In the place of the interpreter's memory: counts what passes."""

    def __init__(self, interpreter: ModuleType, arrays: Mapping[str, Array]) -> None:
        self._module = interpreter
        self._memory = interpreter._interpreter
        ordered = sorted(arrays.items(), key=lambda item: item[1].ctypes.data)
        self._names = [name for name, _ in ordered]
        self._starts = np.array([array.ctypes.data for _, array in ordered], dtype=np.uint64)
        self._ends = np.array([array.ctypes.data + array.nbytes for _, array in ordered], dtype=np.uint64)
        self.loads: Counter[str] = Counter()
        self.stores: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)

    def load(self, pointers: Array, mask: Array, *rest: Any) -> Any:
        self._count(self.loads, "load", pointers, mask)
        return self._memory.load(pointers, mask, *rest)

    def store(self, pointers: Array, values: Array, mask: Array) -> Any:
        self._count(self.stores, "store", pointers, mask)
        return self._memory.store(pointers, values, mask)

    def _count(self, counter: Counter[str], what: str, pointers: Array, mask: Array) -> None:
        moved = np.asarray(pointers)[np.asarray(mask, dtype=bool)].astype(np.uint64)
        at = np.searchsorted(self._starts, moved, side="right") - 1
        if np.any(at < 0) or np.any(moved >= self._ends[at]):
            raise ExecutionError(f"a {what} of a kernel is outside its arrays")
        for position, times in zip(*np.unique(at, return_counts=True), strict=True):
            counter[self._names[position]] += int(times)


@contextmanager
def _counting(counter: _Counter) -> Iterator[None]:
    module = counter._module
    memory, module._interpreter = module._interpreter, counter  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module._interpreter = memory  # type: ignore[attr-defined]
