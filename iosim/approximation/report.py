"""How error against I/O looks at a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from iosim.approximation.advice import Advice, HeadAdvice
from iosim.approximation.measure import MeasuredPoint
from iosim.approximation.tradeoff import Tradeoff
from iosim.display import pairs
from iosim.terminal import problem_text, table
from iosim.units import format_words


def tradeoff_report(found: Tradeoff) -> RenderableType:
    """Every point, fewest words first; a star marks those on the front."""
    facts = [
        ("problem", f"{problem_text(found.problem)}; {found.source}, |q.k|/sqrt(d) at most {found.logit_bound:.4g}"),
        ("fast memory", f"M = {format_words(found.fast_memory_words, found.dtype)}"),
        ("exact", _exact(found)),
        ("compared", _compared(found.points)),
    ]
    rows = [("", "words moved", "of exact", "max error", "proved", "rel. error", "method", "settings")]
    for point in found.points:
        rows.append(
            (
                "*" if found.on_front(point) else "",
                f"{point.io_words:,}",
                "" if found.exact_words is None else f"{point.io_words / found.exact_words:.3g}",
                _error(point.max_abs_error),
                "" if point.error_bound is None else f"{point.error_bound:.3g}",
                _error(point.relative_error),
                point.plan.title,
                ", ".join(f"{name} = {value:,}" for name, value in point.settings.items()),
            )
        )
    by = "greatest error" if found.by == "max" else "relative Frobenius error"
    lines: list[RenderableType] = [pairs(facts, indent=0), Text(), table(rows, left=(0, 6, 7)), Text()]
    lines.append(Text(f"* no other moves as few words with as small a {by}"))
    wrong = [point for point in found.points if point.is_method is False]
    lines += [Text(f"FAILS {_name(p)}: its result is not what the method is defined to be", "bold red") for p in wrong]
    lines += [Text(f"left out: {reason}") for reason in found.left_out]
    return Group(*lines)


def advice_report(found: Advice) -> RenderableType:
    """One line for each head, and what the polynomial that reaches eps costs and where it pays."""
    source = found.source or "any data with these logits"
    facts = [
        ("problem", f"{problem_text(found.problem)}; {source}"),
        ("fast memory", f"M = {format_words(found.fast_memory_words, found.dtype)}"),
        ("good enough", f"as attention whose weights have a relative error of at most {found.eps:g}"),
    ]
    rows: list[tuple[str, ...]] = [
        (
            "head",
            "R",
            "degree",
            "features",
            "its words",
            "pays from n",
            "cannot at n",
            "exact",
            "best",
            "choice",
        )
    ]
    rows += [_row(head) for head in found.heads]
    return Group(
        pairs(facts, indent=0),
        Text(),
        table(rows, left=(9,)),
        Text(),
        Text(_legend(found)),
        Text(),
        Text(f"verdict: {_verdict(found)}", "bold"),
    )


def _row(head: HeadAdvice) -> tuple[str, ...]:
    p, best = head.polynomial, head.best_words if head.gains else head.exact_words
    return (
        f"{head.head}",
        f"{head.logit_bound:.3g}",
        "none" if p.degree is None else f"{p.degree}",
        f"{p.features:,}" if p.features else "",
        "" if p.io_words is None else f"{p.io_words:,}",
        "" if p.pays_from_n is None else f"{p.pays_from_n:,}",
        "" if p.loses_at_n is None else f"{p.loses_at_n:,}",
        "" if head.exact_words is None else f"{head.exact_words:,}",
        "" if best is None else f"{best:,}",
        head.choice + ("" if head.proved or not head.gains else " (measured)"),
    )


def _legend(found: Advice) -> str:
    text = (
        "R is the greatest |q.k|/sqrt(d); the degree is the least that reaches eps for any data within R. Words are for one "
        "head. From n = `pays from n` on that polynomial moves fewer words than the best exact schedule; at n = `cannot at "
        "n`, the largest such n found, no schedule with sums of monomials can, by the lower bound."
    )
    if any(head.tradeoff is not None for head in found.heads):
        text += " The other methods are measured on these data: those within the error that eps allows are good enough."
    return text


def _verdict(found: Advice) -> str:
    gaining, all_heads = found.gaining, len(found.heads)
    if all_heads == 1:
        (head,) = found.heads
        if not head.gains or head.best_words is None:
            return "exact attention moves the fewest words of all that is good enough"
        fewer = (
            "" if head.exact_words is None else f", {head.exact_words / head.best_words:.3g}x fewer words than exact"
        )
        return f"{head.choice}{fewer}{'' if head.proved else '; good enough on these data, not proved on others'}"
    if not gaining:
        return f"none of the {all_heads} heads gains: exact attention moves the fewest words of all that is good enough"
    proved = [head.head for head in found.heads if head.gains and head.proved]
    which = ", ".join(map(str, gaining))
    return (
        f"{len(gaining)} of {all_heads} heads gain ({which}), {len(proved)} of them by a method whose error is proved"
    )


def _exact(found: Tradeoff) -> str:
    if found.exact is None:
        return "no schedule fits in this fast memory"
    return f"{found.exact_words:,} words ({found.exact.title})"


def _compared(points: Sequence[MeasuredPoint]) -> str:
    numeric = points[0].numeric
    which = "all " if numeric.rows_checked == numeric.rows else f"{numeric.rows_checked:,} of "
    return f"{which}{numeric.rows:,} rows with float64 softmax attention, seed {numeric.seed}"


def _error(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not finite"


def _name(point: MeasuredPoint) -> str:
    return f"{point.algorithm} {', '.join(f'{name}={value}' for name, value in point.settings.items())}"
