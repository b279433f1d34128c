"""What is known below which no schedule can go: bounds side by side, for one setting or in symbols.

Four lines sum it up, as IOLB (Olivry et al., PLDI 2020) prints them: the trivial bound, the full bound with every term, its
leading term, and that in its simplest letters. Only the first two are proved at given sizes; a leading term is what the full
bound comes to when the problem is large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from iosim.bounds.bound import Bound, Property, Setting, Sized, symbols
from iosim.bounds.exact import TRIVIAL, TRIVIAL_TIED, applicable, known
from iosim.bounds.literature import STATEMENTS
from iosim.bounds.literature import Statement as Cited
from iosim.display import Result
from iosim.units import FP16, Dtype

if TYPE_CHECKING:
    import sympy
    from rich.console import RenderableType

    from iosim.bounds.einsum import Derived, EinsumBounds

Label = Literal["trivial", "full", "leading", "simplified"]
_TRIVIAL = (TRIVIAL, TRIVIAL_TIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One of the four lines.

    Attributes:
        label: which one.
        expression: the formula.
        words: its value, rounded up to a whole word; None in symbols.
        bound: the bound that it is, or whose leading term it is.
    """

    label: Label
    expression: sympy.Expr
    words: int | None
    bound: Bound

    @property
    def proved(self) -> bool:
        """Whether the value is itself a lower bound."""
        return self.label in ("trivial", "full")

    def to_dict(self) -> dict[str, object]:
        found = {"label": self.label, "expression": text(self.expression), "latex": latex(self.expression)}
        return {**found, "words": self.words, "proved": self.proved, **_described(self.bound)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The four lines of one full bound.

    Attributes:
        title: for which schedules or sizes it holds.
        lines: trivial (once, in the first group), full, leading, simplified.
        steps: the derivation, if it was derived here.
    """

    title: str
    lines: tuple[Line, ...]
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class Survey(Result):
    """Bounds side by side.

    Attributes:
        problem: what is computed, for people.
        fast_memory_words: M; None in symbols.
        simplified: what the simplified lines take to be equal, for people.
        groups: the bounds; at given sizes each one says the most of its kind of schedules.
        others: bounds that hold too and say less, with their words.
        cited: statements of the literature.
        dtype: of a word, for people.
    """

    problem: str
    fast_memory_words: int | None
    simplified: str = ""
    groups: tuple[Group, ...]
    others: tuple[tuple[Bound, int], ...] = ()
    cited: tuple[Cited, ...] = ()
    dtype: Dtype = FP16

    @cached_property
    def greatest(self) -> Line | None:
        """The proved line of the first group that says the most; None in symbols."""
        lines = [line for line in self.groups[0].lines if line.proved and line.words is not None]
        return max(lines, key=lambda line: line.words or 0, default=None)

    def to_dict(self) -> dict[str, object]:
        best = self.greatest
        return {
            "problem": self.problem,
            "fast_memory_words": self.fast_memory_words,
            "lower_bound": None if best is None else best.bound.name,
            "lower_bound_words": None if best is None else best.words,
            "greatest": None if best is None else best.label,
            "bounds": [
                {"holds_for": g.title, "lines": [line.to_dict() for line in g.lines], "derivation": list(g.steps)}
                for g in self.groups
            ],
            "others": [{"lower_bound_words": words, **_described(bound)} for bound, words in self.others],
            "literature": [
                {
                    "title": cited.title,
                    "problem": cited.problem,
                    "symbol": cited.symbol,
                    "expressions": [text(bound.expression) for bound in cited.bounds],
                    "regimes": [text(bound.regime) for bound in cited.bounds],
                    "strength": cited.bounds[0].strength,
                    "kind": cited.bounds[0].kind,
                    "note": cited.note,
                    "source": cited.bounds[0].source,
                }
                for cited in self.cited
            ],
        }

    def rows(self) -> list[dict[str, object]]:
        """The lines of all bounds."""
        return [{"holds_for": group.title, **line.to_dict()} for group in self.groups for line in group.lines]

    def report(self) -> RenderableType:
        from iosim.bounds.report import survey_report

        return survey_report(self)

    @property
    def latex(self) -> str:
        """The formulas only, as LaTeX."""
        from iosim.bounds.report import latex_lines

        return "\n".join(latex_lines(self))


def text(expression: sympy.Basic) -> str:
    """As reports print it."""
    return str(expression).replace("**", "^")


def latex(expression: sympy.Basic) -> str:
    import sympy

    return str(sympy.latex(expression))


def _described(bound: Bound) -> dict[str, object]:
    return {
        "lower_bound": bound.name,
        "theorem": bound.theorem,
        "source": bound.source,
        "requires": sorted(bound.requires),
    }


# Attention


_CLASSES: tuple[tuple[str, frozenset[Property]], ...] = (
    ("no score computed twice", frozenset({"no recomputation"})),
    ("no score computed twice, none stored", frozenset({"no recomputation", "no spilling"})),
)


def attention(setting: Setting, *, problem: str) -> Survey:
    """The bounds for exact attention at given sizes; those that hold only for a class of schedules where they say more.

    Args:
        setting: the sizes.
        problem: the same for people.
    """
    found = sorted(applicable(setting), key=lambda pair: -pair[1])
    trivial = next(pair for pair in found if pair[0] in _TRIVIAL)
    nontrivial = [pair for pair in found if pair[0] not in _TRIVIAL]
    lines = [_line("trivial", *trivial), *(line for pair in nontrivial[:1] for line in _lines(*pair, setting))]
    groups = [Group(title="every schedule", lines=tuple(lines))]
    most = found[0][1]
    for title, properties in _CLASSES:
        asked = replace(setting, properties=setting.properties | properties)
        full = max(applicable(asked), key=lambda pair: pair[1])
        if full[1] > most:
            groups.append(Group(title=title, lines=tuple(_lines(*full, asked))))
            most = full[1]
    return Survey(
        problem=f"exact attention, {problem}",
        fast_memory_words=setting.M,
        groups=tuple(groups),
        others=tuple(nontrivial[1:]),
        cited=STATEMENTS,
    )


def attention_in_symbols(*, causal: bool, tied: bool, wide: frozenset[Property] = frozenset()) -> Survey:
    """The bounds for exact attention in every regime, as formulas; those for wide sums only if there are any."""
    groups = []
    for bound in known():
        if ("tied" in bound.excludes and tied) or ("tied" in bound.requires and not tied):
            continue
        if not {property for property in bound.requires if property.startswith("sums")} <= wide:
            continue
        needs = sorted(bound.requires - {"tied"} - wide)
        title = " and ".join([*needs, *(text(c) for c in conditions(bound))]) or "every schedule, all sizes"
        if bound in _TRIVIAL:
            groups.append(Group(title=title, lines=(_line("trivial", bound, None),)))
        else:
            groups.append(Group(title=title, lines=tuple(_lines(bound, None, None, causal=causal))))
    more = ["mask causal"] * causal + ["V part of K"] * tied + sorted(wide)
    return Survey(
        problem=", ".join(["exact attention with N pairs of a query and a key", *more]),
        fast_memory_words=None,
        simplified="n_q = n_k = n, d_v = d, N = " + ("n^2/2" if causal else "n^2"),
        groups=tuple(groups),
        cited=STATEMENTS,
    )


def conditions(bound: Bound) -> Iterator[sympy.Basic]:
    import sympy

    for high, low in bound.conditions(symbols(bound.letters)):
        yield sympy.Ge(sympy.sympify(high), sympy.sympify(low), evaluate=False)


def _lines(bound: Bound, words: int | None, setting: Sized | None, *, causal: bool = False) -> Iterator[Line]:
    yield _line("full", bound, words)
    leading = leading_term(bound.expression)
    sizes: Mapping[str, int] = {} if setting is None else setting.sizes
    yield Line(label="leading", expression=leading, words=value(leading, setting), bound=bound)
    simple = _simplified(leading, sizes, causal=causal)
    yield Line(label="simplified", expression=simple, words=value(simple, setting), bound=bound)


def _line(label: Label, bound: Bound, words: int | None) -> Line:
    return Line(label=label, expression=bound.expression, words=words, bound=bound)


def leading_term(expression: sympy.Expr) -> sympy.Expr:
    """What a bound for attention comes to for many pairs, and then for d far above sqrt(M): its terms of the highest degree
    in d and d_v.

    Example:
        >>> from iosim.bounds.exact import SEGMENTS
        >>> print(leading_term(SEGMENTS[2].expression))
        2*N*(d + d_v)/sqrt(M)
    """
    import sympy

    N, d, d_v = (sympy.Symbol(name, positive=True) for name in ("N", "d", "d_v"))
    scale = sympy.Symbol("scale", positive=True)

    share = sympy.diff(expression, N)  # every formula is linear in N
    terms = sympy.Add.make_args(sympy.expand(share.subs({d: scale * d, d_v: scale * d_v})))
    degrees = [sympy.degree(term, scale) if term.has(scale) else 0 for term in terms]
    most = [term for term, degree in zip(terms, degrees, strict=True) if degree == max(degrees)]
    return sympy.factor(N * sympy.Add(*most).subs(scale, 1))


def _simplified(expression: sympy.Expr, sizes: Mapping[str, int], *, causal: bool) -> sympy.Expr:
    """With n for the queries (and keys, if as many) and d for the head dimensions, if equal; in symbols they are."""
    import sympy

    N, n_q, n_k, d, d_v, n = (sympy.Symbol(x, positive=True) for x in ("N", "n_q", "n_k", "d", "d_v", "n"))
    square, equal = sizes.get("n_q") == sizes.get("n_k"), sizes.get("d") == sizes.get("d_v")
    pairs, half_of_all = n**2 if square else n_q * n_k, n**2 / 2
    if not sizes:
        pairs = half_of_all if causal else pairs
    elif sizes["N"] != sizes["n_q"] * sizes["n_k"]:  # a mask, or several heads
        half = square and 2 * sizes["N"] == sizes["n_q"] * (sizes["n_q"] + 1)
        pairs = half_of_all if half else N
    return sympy.factor(expression.subs(N, pairs).subs(d_v, d if equal else d_v))


def value(expression: sympy.Expr, setting: Sized | None) -> int | None:
    """The least whole number of words from it on."""
    import sympy

    if setting is None:
        return None
    sizes = {**setting.sizes, "n": setting.sizes["n_q"]}
    values = {symbol: sizes[symbol.name] for symbol in expression.free_symbols}
    return int(sympy.ceiling(expression.subs(values)))


# Einsums


def einsum(bounds: EinsumBounds, sizes: Mapping[str, int], M: int | None, *, where: str) -> Survey:
    """The bounds for an einsum and their derivation: at given sizes, or in symbols if M is None.

    Raises:
        UsageError: sizes are missing, too many, or don't fit.
    """
    problem = str(bounds.einsum)
    if M is None:
        groups = [Group(title="every schedule", lines=(_line("trivial", bounds.trivial.bound, None),))]
        first = {found.results: found for found in reversed(bounds.segments)}  # the first cover of each
        groups += [_derived(found, None) for found in reversed(first.values())]
        return Survey(problem=problem, fast_memory_words=None, groups=tuple(groups))
    every = bounds.sizes(sizes, M, where=where)
    best, words = bounds.greatest(every)
    trivial = _line("trivial", bounds.trivial.bound, bounds.trivial.bound.words(every))
    if best is bounds.trivial:
        groups = [Group(title="every schedule", lines=(trivial,), steps=best.steps)]
    else:
        full = _derived(best, every)
        groups = [Group(title=full.title, lines=(trivial, *full.lines), steps=full.steps)]
    once = replace(every, properties=frozenset({"no recomputation"}))
    further, more = bounds.greatest(once)
    if more > words:
        groups.append(_derived(further, once))
    named = ", ".join(f"{letter} = {size:,}" for letter, size in every.sizes.items() if letter != "M")
    return Survey(problem=f"{problem}, {named}", fast_memory_words=M, groups=tuple(groups))


def _derived(found: Derived, sizes: Sized | None) -> Group:
    import sympy

    leading = replace(found.bound, formula=found.leading)

    def words(bound: Bound) -> int | None:
        return None if sizes is None else bound.words(sizes)

    terms = sympy.Add.make_args(found.bound.expression)
    full = sympy.Add(*(sympy.factor(term) for term in terms))
    lines = (
        Line(label="full", expression=full, words=words(found.bound), bound=found.bound),
        Line(label="leading", expression=leading.expression, words=words(leading), bound=found.bound),
        Line(label="simplified", expression=sympy.factor(leading.expression), words=words(leading), bound=found.bound),
    )
    title = "no product computed twice" if found.bound.requires else "every schedule"
    if sizes is None:
        title = " and ".join([title, *(text(condition) for condition in conditions(found.bound))])
    return Group(title=title, lines=lines, steps=found.steps)
