"""What a bound is: a formula in the sizes of the problem and of the fast memory, and when and for what it holds.

A formula is written once, over `Letters`, and read in two ways: over sympy symbols it is the expression that people and
proofs see, over exact numbers it is a number of words. Numbers are rational, or enclosed in intervals that are narrowed
until the whole number next to them is certain; nothing is rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from iosim.errors import CountError
from iosim.expr import monomial_count

if TYPE_CHECKING:
    import sympy

NAMES = ("N", "n_q", "n_k", "d", "d_v", "M")  # of the letters that formulas are written in

# A formula and its conditions are read over Fractions, intervals and sympy expressions alike.
Formula: TypeAlias = "Callable[[Letters], Any]"
Condition: TypeAlias = "tuple[Any, Any]"  # the first is at least the second
Property: TypeAlias = Literal[
    "no recomputation",
    "no spilling",
    "tied",
    # of the machine: what a word of O takes, in words of the inputs
    "sums of 2 words",
    "sums of 4 words",
    # of approximate attention, as `iosim.bounds.approx` has them
    "feature sums",
    "V-linear sums",
    "monomials",
    "one-shot",
]

_PRECISIONS = (128, 512, 2048, 8192)  # bits


class Letters:
    """The sizes that formulas are written in, as numbers or as symbols.

    Attributes:
        N: pairs of a query and a key that must meet, over all instances of the batch.
        n_q: queries that meet a key, over all instances.
        n_k: keys that meet a query, over all instances; shared ones once.
        d: head dimension of queries and keys.
        d_v: head dimension of values and outputs.
        M: words of fast memory.
        r, m, C, T: for approximate attention: features, rows of K that a sum holds when it is used, words of a row with
            which it makes all its products, and how many these are.
    """

    def __init__(
        self, values: Mapping[str, Any], number: Callable[[Fraction], Any], root: Callable[[Any, int], Any]
    ) -> None:
        self._values = {name: number(Fraction(v)) if isinstance(v, int) else v for name, v in values.items()}
        self._number = number
        self._root = root

    def number(self, value: Fraction) -> Any:
        """A rational constant."""
        return self._number(value)

    def sqrt(self, value: Any) -> Any:
        """The root of a constant or of what is made of letters."""
        return self.root(value, 2)

    def root(self, value: Any, degree: int) -> Any:
        """The root of that degree of a constant or of what is made of letters, which must be positive."""
        return self._root(self._number(Fraction(value)) if isinstance(value, int) else value, degree)

    def renamed(self, **letters: str) -> Letters:
        """The same sizes with some of them under other letters: `renamed(d="d_v")` calls d what was d_v."""
        others = {new: self._values[old] for new, old in letters.items()}
        return Letters({**self._values, **others}, self._number, self._root)

    def __getitem__(self, name: str) -> Any:
        """The letter of that name; the sizes of an einsum have names of their own."""
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"formulas know the letters {', '.join(self._values)}, not {name}") from None


class Sized(Protocol):
    """A problem and a fast memory: a number for each letter, and the properties that hold."""

    @property
    def sizes(self) -> Mapping[str, int]: ...

    @property
    def properties(self) -> frozenset[Property]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """A problem that is given by the sizes of its letters, as an einsum is.

    Attributes:
        sizes: the letters and M, and what they are.
        properties: as in `Setting`.
    """

    sizes: Mapping[str, int]
    properties: frozenset[Property] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A problem and a fast memory, as far as bounds look at them.

    Attributes:
        N, n_q, n_k, d, d_v, M: as in `Letters`.
        properties: what else is known of the problem and of the schedules that are asked about: "tied" (V is the first
            d_v columns of K), "sums of 2 words" and "sums of 4 words" (what words of O take, see
            `iosim.bounds.exact.sums_bounds`), "no recomputation" (no product of a word of Q and a word of K is computed
            twice), "no spilling" (no score, no part of one and no probability is stored); for approximate attention the
            classes of `iosim.bounds.approx`.
        g: degree of the polynomial in place of the exponential; None for exact attention.
        m: rows of K that a sum of features holds when it is used; None for all that a query meets.
    """

    N: int
    n_q: int
    n_k: int
    d: int
    d_v: int
    M: int
    properties: frozenset[Property] = frozenset()
    g: int | None = None
    m: int | None = None

    @property
    def sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {name: getattr(self, name) for name in NAMES}
        if self.g is not None:
            sizes["r"] = monomial_count(self.d, self.g)
            sizes["m"] = self.N // self.n_q if self.m is None else self.m
        return sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A statement about the traffic of all schedules of a class, or of one algorithm.

    Attributes:
        name: the statement, in words joined by underscores.
        formula: the traffic. Units: words; what else it bounds has no unit.
        conditions: when the statement holds: pairs of which the first is at least the second.
        kind: lower (of all schedules) or upper (of one algorithm).
        strength: exact (holds at the given sizes, with its constant) or asymptotic (up to an unknown constant factor).
        theorem: the proof in `proofs`, by its name; None for a statement that is only cited.
        source: where it comes from.
        compulsory: whether it holds for everything that depends on all its inputs, not only for exact attention.
        requires: properties that the setting must have.
        excludes: properties that it must not have.
        letters: what its formula is written in.
        quantity: what it bounds: traffic, or, for the polynomials of approximate attention, the error of an output or the
            degree.
        about: the class of schedules that it is for, in words, where `requires` does not say it all.
    """

    name: str
    formula: Formula
    conditions: Callable[[Letters], tuple[Condition, ...]] = lambda _: ()
    kind: Literal["lower", "upper"] = "lower"
    strength: Literal["exact", "asymptotic"] = "exact"
    theorem: str | None = None
    source: str
    compulsory: bool = False
    requires: frozenset[Property] = frozenset()
    excludes: frozenset[Property] = frozenset()
    letters: tuple[str, ...] = NAMES
    quantity: Literal["traffic", "error", "degree"] = "traffic"
    about: str = ""

    @property
    def universal(self) -> bool:
        """Whether it is about all schedules of the problem, not only those of a kind."""
        return self.requires <= {"tied", "sums of 2 words", "sums of 4 words"}

    @property
    def expression(self) -> sympy.Expr:
        """The formula in sympy symbols, all positive."""
        import sympy

        return sympy.sympify(self.formula(symbols(self.letters)))

    @property
    def regime(self) -> sympy.Basic:
        """The conditions as one sympy condition."""
        import sympy

        return sympy.And(*(sympy.Ge(*map(sympy.sympify, pair)) for pair in self.conditions(symbols(self.letters))))

    def applies(self, setting: Sized) -> bool:
        """Whether the statement says something about this setting."""
        if not self.requires <= setting.properties or self.excludes & setting.properties:
            return False
        return all(high >= low for high, low in self.conditions(rationals(setting.sizes)))

    def words(self, setting: Sized) -> int:
        """The least whole number that the bound allows; below 1 where it says nothing. Units: words.

        Raises:
            CountError: the bound is asymptotic, or not about this setting.

        Example:
            >>> from iosim.bounds.exact import LARGE_FAST_MEMORY
            >>> LARGE_FAST_MEMORY.words(Setting(N=65536**2, n_q=65536, n_k=65536, d=64, d_v=64, M=2**16))
            1073794253
        """
        if self.strength != "exact":
            raise CountError(f"{self.name} is asymptotic: it has no value at given sizes")
        if not self.applies(setting):
            raise CountError(f"{self.name} says nothing about {setting}")
        return _ceiling(self.formula, setting.sizes)


def symbols(names: Iterable[str] = NAMES) -> Letters:
    """The letters as positive sympy symbols."""
    import sympy

    return Letters({name: sympy.Symbol(name, positive=True) for name in names}, sympy.sympify, sympy.root)


def floats(sizes: Mapping[str, int]) -> Letters:
    """The letters in floating point."""
    values = {name: float(size) for name, size in sizes.items()}
    return Letters(values, lambda x: x.numerator / x.denominator, _float_root)


class Irrational(Exception):  # noqa: N818  a signal, not an error
    """A root that is no rational number."""


def _rational_root(x: Fraction, degree: int) -> Fraction:
    root = Fraction(_whole_root(x.numerator, degree), _whole_root(x.denominator, degree))
    if root**degree != x:
        raise Irrational
    return root


def _whole_root(x: int, degree: int) -> int:
    """The greatest whole number whose power of that degree is at most x."""
    if degree == 2:
        return math.isqrt(x)
    low, high = 0, 1 << (x.bit_length() // degree + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**degree <= x else (low, middle)
    return low


def _float_root(x: float, degree: int) -> float:
    return float(x ** (1 / degree))


def rationals(sizes: Mapping[str, int]) -> Letters:
    """The letters as rational numbers. A root that is none raises `Irrational`."""
    return Letters(sizes, Fraction, _rational_root)


def _ceiling(formula: Formula, sizes: Mapping[str, int]) -> int:
    """The least whole number that is at least `formula` at these sizes."""
    try:
        exact: Fraction = formula(rationals(sizes))
        return math.ceil(exact)
    except Irrational:
        pass
    from mpmath import ceil, iv, mp  # type: ignore[import-untyped]

    def interval(x: Fraction) -> Any:
        return iv.mpf(x.numerator) / x.denominator

    for precision in _PRECISIONS:
        iv.prec = precision
        value = formula(Letters(sizes, interval, _interval_root))
        with mp.workprec(precision):
            low, high = int(ceil(mp.mpf(value.a))), int(ceil(mp.mpf(value.b)))
        if low == high:
            return low
    raise CountError(f"a bound lies too close to {low:,} words to be rounded")


def _interval_root(x: Any, degree: int) -> Any:
    from mpmath import iv

    return iv.sqrt(x) if degree == 2 else iv.exp(iv.log(x) / degree)
