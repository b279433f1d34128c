"""What GPU kernel is it? Triton source with the tiles, the loops, the loads and the stores of the program.

One lowering for all programs: outer loops with independent iterations are the launch grid (`iosim.lowering.grid` proves
that), what must follow them is a further launch, everything else is inside a kernel (`iosim.lowering.body`). A tile is a
block in registers or shared memory. Axes of blocks are powers of two, of at least 16 (or 1); the padding is masked, and
masked elements do not move. So the kernels load and store, array by array, as many elements as the program moves words.

Arrays are contiguous and row-major. Inputs and outputs are of one dtype; what holds sums that are not finished (scratch
arrays, and outputs that are loaded again) is in fp32, and an array that others are looked up by is in int32. What is
computed on chip is in fp32; a product of matrices takes its factors in 16 bits if one of them was loaded so.

A program's numbers that are known when it is built (coordinates of a block design, factors of monomials, coefficients)
and that have no short expression are arrays of role "constant". Loading them is no part of the program's count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from iosim.errors import NotLowerable
from iosim.expr import evaluate_int
from iosim.interpret.render import statement_lines
from iosim.lowering.blocks import Memory, pointer
from iosim.lowering.body import Kernel
from iosim.lowering.constants import Constants
from iosim.lowering.grid import parts
from iosim.lowering.instances import with_own_scratch
from iosim.lowering.library import called
from iosim.lowering.scope import Scope
from iosim.program import Load, Program, Statement, TableLoop, index_arrays, walk
from iosim.progress import Progress, silent
from iosim.units import DTYPES

Role = Literal["input", "output", "scratch", "constant"]
_MOST_LISTED = 2**20  # numbers of a table
FORMATS = ("fp32", "fp16", "bf16")

_HEAD = '''"""{name}: generated Triton kernels, for {sizes}."""

import triton
import triton.language as tl
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An array in slow memory.

    Attributes:
        name: as in the program.
        shape: contiguous, row-major.
        dtype: "fp32", "fp16", "bf16" or "int32".
        role: "constant" for numbers that are known when the program is built.
        values: of a constant, in order.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    role: Role
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One launch of one kernel.

    Attributes:
        function: its name in the source.
        nest: the statements of the program that it runs, in the loops that became the grid.
        axes: the indices of these loops, the outermost first.
        grid: how many programs; they follow each other as the iterations of the loops do, the innermost one fastest.
        num_warps: of each program.
        num_stages: of the software pipeline of loads.
        parameters: names of the arrays that it takes pointers to, in the order of its arguments.
    """

    function: str
    nest: tuple[Statement, ...]
    axes: tuple[str, ...]
    grid: tuple[int, ...]
    num_warps: int
    num_stages: int
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """A program at given sizes as Triton kernels.

    Attributes:
        source: a whole importable module, with one `@triton.jit` function a launch.
        parameters: the arrays.
        launches: in the order in which they must happen.
    """

    source: str
    parameters: tuple[Parameter, ...]
    launches: tuple[Launch, ...]

    @property
    def word_bytes(self) -> dict[str, int]:
        """Bytes of a word of each array."""
        return {each.name: 4 if each.dtype == "int32" else DTYPES[each.dtype].bytes for each in self.parameters}


def lower(
    program: Program,
    sizes: Mapping[str, int],
    *,
    dtype: str = "fp32",
    num_warps: int | None = None,
    num_stages: int | None = None,
    progress: Progress = silent,
) -> Kernels:
    """`program` at these sizes as Triton kernels.

    Args:
        program: what to lower; it should be legal.
        sizes: values of all its sizes.
        dtype: of inputs and outputs: "fp32", "fp16" or "bf16".
        num_warps: of each program; chosen by the size of the blocks if not given.
        num_stages: of the software pipeline of loads; 2 if not given.
        progress: told what is going on, and which fraction of it is done.

    Raises:
        NotLowerable: a statement has no Triton text here; the message names it and says why.
    """
    if dtype not in FORMATS:
        raise NotLowerable(f"dtype {dtype}: allowed: {', '.join(FORMATS)}")
    program = with_own_scratch(program, sizes)
    scope = Scope({name: sizes[name] for name in program.sizes})
    memory = _memory(program, sizes, dtype)
    lines = dict(zip(map(id, walk(program.body)), statement_lines(program), strict=True))
    constants = Constants()
    functions: list[str] = []
    launches: list[Launch] = []

    def where(statement: Statement) -> str:
        return lines.get(id(statement), "").strip()

    for statement in walk(program.body):
        if isinstance(statement, TableLoop) and (listed := statement.table.listed) > _MOST_LISTED:
            raise NotLowerable(
                f"can't lower `{where(statement)}`: its table lists {listed:,} numbers; allowed: at most {_MOST_LISTED:,}"
            )
    for part in parts(program, scope):
        kernel = Kernel(part, memory, constants, where, progress)
        text, programs = kernel.write(scope)
        name = f"{_identifier(program.name)}_{len(launches)}"
        arguments = ", ".join(map(pointer, kernel.used))
        body = "\n".join(f"    {line}" for line in text.split("\n"))
        functions.append(f"@triton.jit\ndef {name}({arguments}):\n{body}\n")
        warps = num_warps or _warps(kernel)
        launches.append(
            Launch(
                function=name,
                nest=part.nest,
                axes=tuple(loop.index for loop in part.grid),
                grid=(programs,),
                num_warps=warps,
                num_stages=num_stages or 2,
                parameters=tuple(kernel.used),
            )
        )
    kernels = "\n\n".join(functions)
    given = ", ".join(f"{key} = {sizes[key]}" for key in program.sizes)
    source = "\n\n".join([_HEAD.format(name=program.name, sizes=given or "fixed sizes"), *called(kernels), kernels])
    arrays = [Parameter(name=m.array.name, shape=m.shape, dtype=m.dtype, role=m.array.role) for m in memory.values()]
    arrays += [
        Parameter(name=name, shape=(len(values),), dtype=kind, role="constant", values=values)
        for name, (kind, values) in constants.arrays.items()
    ]
    return Kernels(source=source, parameters=tuple(arrays), launches=tuple(launches))


def _warps(kernel: Kernel) -> int:
    """So many that the registers hold the largest block, and what is needed beside it."""
    warps = 4 if kernel.largest <= 64 * 64 else 8 if kernel.largest <= 128 * 128 else 16
    return max(8, warps) if kernel.features else warps


def _memory(program: Program, sizes: Mapping[str, int], dtype: str) -> dict[str, Memory]:
    indices = index_arrays(program)
    loaded = {statement.region.array.name for statement in walk(program.body) if isinstance(statement, Load)}
    found: dict[str, Memory] = {}
    for array in program.arrays:
        kind = dtype
        if array.name in indices:
            kind = "int32"
        elif array.role == "scratch" or (array.role == "output" and array.name in loaded):
            kind = "fp32"
        found[array.name] = Memory(array, tuple(evaluate_int(size, sizes) for size in array.shape), kind)
    return found


def _identifier(name: str) -> str:
    return "".join(x if x.isalnum() else "_" for x in name).strip("_")


__all__ = ["FORMATS", "Kernels", "Launch", "NotLowerable", "Parameter", "lower"]
