"""The text of one operation: its lines of Triton (see `iosim.ops`), with names, sizes, masks and numbers in their places."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from iosim.errors import NotLowerable
from iosim.expr import Expr, Size
from iosim.lowering.blocks import Block, along, factor
from iosim.masks import Mask
from iosim.ops import Op
from iosim.program import Column

if TYPE_CHECKING:
    from iosim.lowering.body import Kernel

_PLACE = re.compile(r"\$(\w+)|\{([^{}]+)\}")


@dataclass
class Operation:
    """One operation on blocks.

    Attributes:
        kernel: that it is part of.
        op: the operation.
        params: its parameters, by name.
        letters: how much of each of its axes is the tile, and how long the axis of the block is.
        operands: the blocks, by name.
    """

    kernel: Kernel
    op: Op
    params: Mapping[str, Any]
    letters: Mapping[str, tuple[Size, int]]
    operands: Mapping[str, Block]
    _own: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Its lines in the kernel.

        Raises:
            NotLowerable: a parameter is nothing that a kernel can have.
        """
        text = _PLACE.sub(self._expand, self.op.triton)
        text = re.sub(r" // 1\b| \+ 0(?=\)|$)", "", text, flags=re.MULTILINE)
        return [line for line in text.strip().split("\n") if line]

    def _expand(self, place: re.Match[str]) -> str:
        if place[1]:
            if place[1] not in self._own:
                self._own[place[1]] = self.kernel.lines.unique(place[1])
            return self._own[place[1]]
        key = place[2]
        if key[0] == "#":
            known = self.letters.get(key[1:])
            return str(known[1] if known else self.kernel.padded(self.params[key[1:]]))
        if key[0] == "|":
            return factor(self.kernel.scope.text(self.letters[key[1:-1]][0]))
        if key.startswith("features "):
            return self._features(key.removeprefix("features "))
        name, mark, rest = re.fullmatch(r"(\w+)(\W?)(.*)", key).groups()  # type: ignore[union-attr]
        if name in self.operands:
            return self._operand(name, raw=mark == "!", filled=rest)
        if name == "weights":
            return self._weights(optional=mark == "?")
        if name == "coefficients":
            return self._coefficient(int(rest))
        return self._param(name)

    def _operand(self, name: str, *, raw: bool, filled: str) -> str:
        """A block, in fp32 unless it is wanted as it was loaded; beyond the end of an axis of the tile, filled."""
        block, axes = self.operands[name], dict(self.op.operands)[name]
        text = block.name
        if block.dtype != "fp32" and not raw:
            text = f"{text}.to(tl.float32)"
        axis, _, fill = filled.partition("=")
        if not axis or (block.clean and not fill):
            return text
        inside = self.kernel.inside(*self.letters[axis])
        if not inside:
            return text
        mask = f"({inside}){along(axes.index(axis), len(axes))}" if len(axes) > 1 else inside
        value = f'float("{fill}")' if fill else "0.0"
        return f"tl.where({mask}, {text}, {value})"

    def _param(self, name: str) -> str:
        value = self.params[name]
        match value:
            case int() | Expr():
                return factor(self.kernel.scope.text(value))
            case Mask(back=back, ahead=ahead):
                return f"{back}, {ahead}"
            case _:
                raise NotLowerable(f"parameter {name} is {value}; allowed: a number, or a mask that is a band")

    # Monomials

    def _features(self, name: str) -> str:
        """The monomials at each row of an operand, as a product of matrices for each position of a factor."""
        rows, columns = dict(self.op.operands)[name]
        x = self._operand(name, raw=True, filled=columns)
        size, length = self.letters[rows]
        factors = self._factors()
        text = f"ones({length}, {self.kernel.scope.text(size)}, {factors[0]})"
        for each in factors:
            text = f"times({text}, {x}, {each})"
        return text

    def _factors(self) -> list[str]:
        """For each position the coordinates that are factors of the monomials; -1 for none, -2 for no monomial."""
        listed, index = self._listed()
        slots = max(map(_slots, listed))
        degree = max(1, *(len(monomials.by_degree) - 1 for monomials in listed))
        flat: list[int] = []
        for monomials in listed:
            rows = [[-2] * slots for _ in range(degree)]
            every = [tuple(map(int, one)) for group in monomials.by_degree for one in group]
            for slot, one in enumerate(every):
                for position in range(degree):
                    rows[position][slot] = one[position] if position < len(one) else -1
            flat += [x for row in rows for x in row]
        table = self._table(index, "monomials", "int32", tuple(flat), slots * degree)
        starts = [f"{table} + {at * slots}" if at else table for at in range(degree)]
        return [self._entries("factor", start, "-2") for start in starts]

    def _weights(self, *, optional: bool) -> str:
        """Weights of the monomials; 1 if they are optional and there are none."""
        coefficients = self.params["coefficients"]
        if coefficients is None and not optional:
            raise NotLowerable("the coefficients of the polynomial are not known")
        listed, index = self._listed()
        slots = max(map(_slots, listed))
        flat: list[float] = []
        for monomials in listed:
            weights = [1.0] * slots if coefficients is None else [float(w) for w in monomials.weights(coefficients)]
            flat += [*weights, *[0.0] * (slots - len(weights))]
        table = self._table(index, "weights", "fp32", tuple(flat), slots)
        return self._entries("weights", table, "0.0")

    def _coefficient(self, number: int) -> str:
        coefficients = self.params["coefficients"]
        if coefficients is None:
            raise NotLowerable("the coefficients of the polynomial are not known")
        return repr(float(coefficients[number]))

    def _listed(self) -> tuple[list[Any], str | None]:
        """The monomials in each row of the table that they come from, and that table; else the monomials and None."""
        value = self.params["monomials"]
        if isinstance(value, Column):
            return [row[value.column] for row in self.kernel.rows(value.index)], value.index
        return [value], None

    def _entries(self, name: str, table: str, other: str) -> str:
        """A variable with the entries of a table for the monomials of this operation."""
        kernel = self.kernel
        count, width = self.letters.get("f") or (self.params["count"], kernel.padded(self.params["count"]))
        first = kernel.scope.text(self.params.get("first", 0))
        at = f"tl.arange(0, {width})" if first == "0" else f"{factor(first)} + tl.arange(0, {width})"
        inside = kernel.inside(count, width)
        return kernel.lines.once(name, f"tl.load({table} + {at}{f', mask={inside}, other={other}' if inside else ''})")

    def _table(self, index: str | None, name: str, dtype: str, values: tuple[float, ...], width: int) -> str:
        """Where the entries are: of the only row, or of the current row of a table."""
        if index is None or values == values[:width] * (len(values) // width):
            return self.kernel.constant(name, dtype, values[:width])
        return self.kernel.row_pointer(f"{index}_{name}", dtype, values, index, width)


def _slots(monomials: Any) -> int:
    if monomials.factors is None:
        raise NotLowerable(f"{monomials} are too many to be listed")
    return int(monomials.slots)
