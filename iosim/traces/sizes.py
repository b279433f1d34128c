"""Sizes as rows for compiled code: a number, a multiple of a register plus a number, or code for a stack."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import accumulate
from math import lcm

from iosim.errors import MeaningError
from iosim.expr import Atom, Expr, Extremum, Quotient, Size, evaluate, evaluate_int, free_symbols
from iosim.traces.form import ADD, CEIL, FLOOR, GREATEST, LEAST, MULTIPLY, PUSH, STACK, SYMBOL

LARGEST = 2**62


class Sizes:
    """The rows of all sizes of a program; equal ones are there once.

    Attributes:
        symbols: the register of each symbol that has a value here.
        rows: constant, coefficient, register or -1, where its code begins or -1.
        code: what to do with a stack, and with what.
    """

    def __init__(self, name: str, values: Mapping[str, int]) -> None:
        self.name = name
        self.values = values
        self.symbols: dict[str, int] = {}
        self.rows: list[tuple[int, int, int, int]] = []
        self.code: list[tuple[int, int]] = []
        self.known: dict[tuple[Size, tuple[str, ...]], int] = {}

    def number(self, size: Size) -> int:
        """The number of an expression. Columns: constant, coefficient, register or -1, code or -1."""
        value = evaluate(size, self.values)
        key = (value, tuple(f"{name}={self.symbols.get(name)}" for name in sorted(free_symbols(value))))
        if key not in self.known:
            row = self._simple(value)
            if row is None:
                start = len(self.code)
                self._code(value)
                deepest = max(accumulate(1 if what in (PUSH, SYMBOL) else -1 for what, _ in self.code[start:]))
                if deepest > STACK:
                    raise MeaningError(
                        f"{self.name}: a size needs {deepest} numbers at once; allowed in a trace: at most {STACK}"
                    )
                self.code.append((-1, 0))
                row = (0, 0, -1, start)
            self.known[key] = len(self.rows)
            self.rows.append(row)
        return self.known[key]

    def _simple(self, value: Size) -> tuple[int, int, int, int] | None:
        if isinstance(value, int):
            return (self._fits(value), 0, -1, -1)
        constant, coefficient, register = 0, 0, -1
        for monomial, factor in value.terms.items():
            if not isinstance(factor, int):
                return None
            match monomial:
                case ():
                    constant = factor
                case ((str(name), 1),) if register < 0:
                    coefficient, register = factor, self._symbol(name)
                case _:
                    return None
        return (self._fits(constant), self._fits(coefficient), register, -1)

    def _fits(self, value: int) -> int:
        if abs(value) > LARGEST:
            raise MeaningError(f"{self.name}: {value:,} does not fit in 62 bits")
        return value

    def _symbol(self, name: str) -> int:
        if name not in self.symbols:
            evaluate_int(Expr({((name, 1),): 1}), {})  # raises: no value
        return self.symbols[name]

    def _code(self, value: Size) -> None:
        """Leaves `value` on the stack."""
        if isinstance(value, int):
            self.code.append((PUSH, self._fits(value)))
            return
        scale = lcm(*(Fraction(factor).denominator for factor in value.terms.values()))
        self.code.append((PUSH, 0))
        for monomial, factor in value.terms.items():
            self.code.append((PUSH, self._fits(int(factor * scale))))
            for atom, exponent in monomial:
                for _ in range(exponent):
                    self._atom(atom)
                    self.code.append((MULTIPLY, 0))
            self.code.append((ADD, 0))
        if scale != 1:
            self.code += [(PUSH, scale), (FLOOR, 0)]  # no rest: sizes are whole

    def _atom(self, atom: Atom) -> None:
        match atom:
            case str():
                self.code.append((SYMBOL, self._symbol(atom)))
            case Quotient(up=up, numerator=numerator, denominator=denominator):
                self._code(numerator)
                self._code(denominator)
                self.code.append((CEIL if up else FLOOR, 0))
            case Extremum(greatest=greatest, arguments=(first, *others)):
                self._code(first)
                for other in others:
                    self._code(other)
                    self.code.append((GREATEST if greatest else LEAST, 0))
            case _:
                raise MeaningError(f"{self.name}: {atom} is no size that a trace can follow")
