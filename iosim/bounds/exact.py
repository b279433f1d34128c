"""Lower bounds for exact attention, for every schedule of the two-level machine, with their constants.

The proofs are in `proofs.exact_attention` and the modules that it names, what they speak of in `proofs.model`. All bounds
hold for every mask, batch and grouping of heads, through the number N of pairs that meet; softmax statistics, rescaling and
the maximum shift cost nothing in them. Where d_v = d, write u = d/sqrt(M): they say 4u^2 N for u <= 1/2 and (4u - 1) N - M
beyond. If sums take w words each, (1 + sqrt(w))^2 u^2 N for little u, or 2 (1 + w) u^2 N if no score is computed twice, less
(w - 1) n_q d_v: for w = 1 both are 4u^2 N.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache, partial
from typing import Any

from iosim.bounds.bound import Bound, Condition, Formula, Letters, Setting, floats
from iosim.bounds.registered import guarded, registered_bounds

_SOURCE = "iosim, proofs.exact_attention and the modules that it names"
_STEPS = 64  # lengths of a segment that are tried: M (1 + i/64) for i = 0 .. 64


def _inputs_and_outputs(x: Letters) -> Any:
    return x.n_q * (x.d + x.d_v) + x.n_k * (x.d + x.d_v)


def _all_are_used(x: Letters) -> tuple[Condition, ...]:
    """Every query meets a key and every key a query, as far as their number shows."""
    return (x.N, x.n_q), (x.N, x.n_k)


TRIVIAL = Bound(
    name="inputs_are_loaded_and_outputs_stored",
    formula=_inputs_and_outputs,
    conditions=_all_are_used,
    theorem="inputs_are_loaded_and_outputs_stored",
    source=_SOURCE,
    compulsory=True,
    excludes=frozenset({"tied"}),
)

TRIVIAL_TIED = Bound(
    name="inputs_are_loaded_and_outputs_stored_if_tied",
    formula=lambda x: x.n_q * (x.d + x.d_v) + x.n_k * x.d,
    conditions=_all_are_used,
    theorem="inputs_are_loaded_and_outputs_stored",
    source=_SOURCE,
    compulsory=True,
    requires=frozenset({"tied"}),
)

# Nothing is subtracted in a large fast memory, from M = 4 d^2 on; for wide values from M = WIDE_VALUES d^2 on.
WIDE_VALUES = Fraction(128, 27)
TIED_VALUES = WIDE_VALUES / 4  # where values are tied and d_v = d

LARGE_FAST_MEMORY = Bound(
    name="io_at_least_N_d_plus_dv_squared_over_M",
    formula=lambda x: x.N * (x.d + x.d_v) ** 2 / x.M,
    conditions=lambda x: ((x.M, 4 * x.d**2), (x.d, x.d_v)),
    theorem="io_in_a_large_fast_memory",
    source=_SOURCE,
    excludes=frozenset({"tied"}),
)

LARGE_FAST_MEMORY_FIRST_COLUMNS = Bound(
    name="io_at_least_4N_d_squared_over_M",
    formula=lambda x: 4 * x.N * x.d**2 / x.M,
    conditions=lambda x: ((x.M, 4 * x.d**2), (x.d_v, x.d + 1)),
    theorem="io_in_a_large_fast_memory",
    source=_SOURCE,
    excludes=frozenset({"tied"}),
)

LARGE_FAST_MEMORY_WIDE_VALUES = Bound(
    name="io_at_least_4N_d_dv_over_M",
    formula=lambda x: 4 * x.N * x.d * x.d_v / x.M,
    conditions=lambda x: ((x.M, x.number(WIDE_VALUES) * x.d**2), (x.d_v, x.d)),
    theorem="io_in_a_large_fast_memory",
    source=_SOURCE,
    excludes=frozenset({"tied"}),
)

LARGE_FAST_MEMORY_NO_RECOMPUTATION = Bound(
    name="io_at_least_N_d_plus_dv_squared_over_M_without_recomputation",
    formula=lambda x: x.N * (x.d + x.d_v) ** 2 / x.M,
    conditions=lambda x: ((x.M, 4 * x.d_v**2), (x.d_v, x.d + 1)),
    theorem="io_in_a_large_fast_memory",
    source=_SOURCE,
    requires=frozenset({"no recomputation"}),
    excludes=frozenset({"tied"}),
)


@cache
def sums_bounds(words: Any) -> tuple[Bound, ...]:
    """The bounds for sums that take `words` words of the inputs, at least 1, as fp32 accumulators beside 16 or 8 bits do.

    A word of O takes w words of fast memory, and is loaded and stored as w words; only its last store may move a single one.
    That leaves out what scores take beyond a word. The first bound is for d >= sqrt(w) d_v, where the second says less. The
    third is for d <= sqrt(w) d_v and schedules that compute no score twice, and says more than the second.
    """

    def large(x: Letters) -> Condition:
        w = x.number(words)
        return w * x.M, (1 + w) ** 2 * x.d**2

    def last_stores(x: Letters) -> Any:
        return (x.number(words) - 1) * x.n_q * x.d_v

    def narrow(x: Letters) -> Any:
        return x.N * (x.d + x.d_v) * (x.d + x.number(words) * x.d_v) / x.M - last_stores(x)

    first = f"io_at_least_N_d_plus_dv_times_d_plus_{words}_dv_over_M_with_sums_of_{words}_words"
    width: Any = f"sums of {words} words"
    build = partial(Bound, theorem="io_with_wide_sums", source=_SOURCE, excludes=frozenset({"tied"}))
    return (
        build(
            name=first,
            formula=narrow,
            conditions=lambda x: (large(x), (x.d**2, x.number(words) * x.d_v**2)),
            requires=frozenset({width}),
        ),
        build(
            name=f"io_at_least_N_d_dv_1_plus_root_{words}_squared_over_M_with_sums_of_{words}_words",
            formula=lambda x: x.N * x.d * x.d_v * (1 + x.sqrt(x.number(words))) ** 2 / x.M - last_stores(x),
            conditions=lambda x: (large(x), (3 * x.M, 4 * x.d * (x.d + (1 + x.number(words)) * x.d_v))),
            requires=frozenset({width}),
        ),
        build(
            name=f"{first}_without_recomputation",
            formula=narrow,
            conditions=lambda x: (
                large(x),
                (x.M, 4 * x.number(words) * x.d_v**2),
                (x.number(words) * x.d_v**2, x.d**2),
            ),
            requires=frozenset({width, "no recomputation"}),
        ),
    )


# Of fp32 beside 16 bits, and beside 8.
SUMS = (*sums_bounds(2), *sums_bounds(4))


@cache
def segment_bounds(length: Fraction, words: int = 1) -> tuple[Bound, ...]:
    """The bounds of segments of `length` times M weighted moves, at least 1; those of 2M have no length in their name.

    With c = F (3/(M + F))^(3/2), which is 2/sqrt(M) for F = 2M, and any a <= min(1, c d):
    traffic >= N (c a (d + d_v) - a^2) + M - F. The three bounds are those of the best a. For sums of w words, see
    `sums_bounds`, d_v is sqrt(w) times as much there, and (w - 1) n_q d_v is subtracted; there are the last two bounds, for
    all d_v.
    """

    over_M, longer = 27 * length**2 / (1 + length) ** 3, length - 1

    def c_squared(x: Letters) -> Any:
        return x.number(over_M) / x.M

    def width(x: Letters) -> Any:
        return x.d_v if words == 1 else x.sqrt(x.number(Fraction(words))) * x.d_v

    def rest(x: Letters) -> Any:
        return x.number(longer) * x.M + (words - 1) * x.n_q * x.d_v

    def small(x: Letters) -> tuple[Condition, ...]:
        return ((c_squared(x) * x.d**2, 1),)

    wide = words > 1
    segments = "" if length == 2 else f"_with_segments_of_{length}_M"
    sums = f"_with_sums_of_{words}_words" if wide else ""

    def build(name: str, formula: Formula, conditions: Callable[[Letters], tuple[Condition, ...]]) -> Bound:
        return Bound(
            name=name + segments + sums,
            family=name + sums if segments else "",
            formula=formula,
            conditions=conditions,
            theorem="io_with_wide_sums" if wide else "io_in_any_fast_memory",
            source=_SOURCE,
            requires=frozenset({f"sums of {words} words"} if wide else ()),  # type: ignore[arg-type]
            excludes=frozenset({"tied"}),
        )

    root = f"root_{words}_" if wide else ""
    narrow = build(
        name="io_at_least_N_d_plus_dv_squared_over_M_minus_M",
        formula=lambda x: x.N * c_squared(x) * (x.d + x.d_v) ** 2 / 4 - rest(x),
        conditions=lambda x: ((1, c_squared(x) * (x.d + x.d_v) ** 2 / 4), (x.d, x.d_v)),
    )
    others = (
        build(
            name=f"io_at_least_4{'_' * wide}{root}N_d_dv_over_M_minus_M",
            formula=lambda x: x.N * c_squared(x) * x.d * width(x) - rest(x),
            conditions=lambda x: ((1, c_squared(x) * x.d**2), *(() if wide else ((x.d_v, x.d),))),
        ),
        build(
            name=f"io_at_least_2N_d_plus_{root}dv_over_root_M_minus_N_minus_M",
            formula=lambda x: x.N * (x.sqrt(c_squared(x)) * (x.d + width(x)) - 1) - rest(x),
            conditions=small,
        ),
    )
    return others if wide else (narrow, *others)


# Of segments of M (1 + number/64) moves.
_TRIED = [segment_bounds(Fraction(_STEPS + number, _STEPS)) for number in range(_STEPS + 1)]
SEGMENTS = _TRIED[-1]

SEGMENTS_WITH_SUMS = (*segment_bounds(Fraction(2), 2), *segment_bounds(Fraction(2), 4))

# Without recomputation the condition a <= c d of segments is not needed: their bounds for d_v <= d hold for every d_v.
NO_RECOMPUTATION = Bound(
    name="io_at_least_N_d_plus_dv_squared_over_M_minus_M_without_recomputation",
    formula=lambda x: x.N * (x.d + x.d_v) ** 2 / x.M - x.M,
    conditions=lambda x: ((x.M, (x.d + x.d_v) ** 2),),
    theorem="io_without_recomputation",
    source=_SOURCE,
    requires=frozenset({"no recomputation"}),
    excludes=frozenset({"tied"}),
)

NO_RECOMPUTATION_SMALL_FAST_MEMORY = Bound(
    name="io_at_least_2N_d_plus_dv_over_root_M_minus_N_minus_M_without_recomputation",
    formula=lambda x: x.N * (2 * (x.d + x.d_v) / x.sqrt(x.M) - 1) - x.M,
    conditions=lambda x: (((x.d + x.d_v) ** 2, x.M),),
    theorem="io_without_recomputation",
    source=_SOURCE,
    requires=frozenset({"no recomputation"}),
    excludes=frozenset({"tied"}),
)

# What it costs never to store a score.
NEVER_SPILLED = Bound(
    name="io_at_least_4_828_N_d_over_root_M_if_no_score_is_stored",
    formula=lambda x: x.N * (2 * x.d / x.sqrt(x.M) + 2 * x.d_v * x.sqrt(2 / x.M) - 3) - x.n_q * x.d_v - 3 * x.M,
    theorem="io_if_no_score_is_stored",
    source=_SOURCE,
    requires=frozenset({"no recomputation", "no spilling"}),
    excludes=frozenset({"tied"}),
)

# V is the first d_v columns of K.
TIED = Bound(
    name="io_at_least_N_d_plus_dv_squared_over_2M_minus_M_if_tied",
    formula=lambda x: x.N * (x.d + x.d_v) ** 2 / (2 * x.M) - x.M,
    conditions=lambda x: ((2 * x.M, (x.d + x.d_v) ** 2), (x.d, x.d_v)),
    theorem="io_for_tied_values",
    source=_SOURCE,
    requires=frozenset({"tied"}),
)

TIED_SMALL_FAST_MEMORY = Bound(
    name="io_at_least_root_2_N_d_plus_dv_over_root_M_minus_N_minus_M_if_tied",
    formula=lambda x: x.N * (x.sqrt(2 / x.M) * (x.d + x.d_v) - 1) - x.M,
    conditions=lambda x: ((2 * x.d**2, x.M), (x.d, x.d_v)),
    theorem="io_for_tied_values",
    source=_SOURCE,
    requires=frozenset({"tied"}),
)

# Nothing is subtracted: from TIED_VALUES d^2 words on where d_v = d, from WIDE_VALUES d^2 where it is small.
TIED_LARGE_FAST_MEMORY = Bound(
    name="io_at_least_N_d_times_d_plus_dv_over_M_if_tied",
    formula=lambda x: x.N * x.d * (x.d + x.d_v) / x.M,
    conditions=lambda x: ((x.M, x.number(TIED_VALUES) * x.d * (4 * x.d - 3 * x.d_v)), (x.d, x.d_v)),
    theorem="io_for_tied_values",
    source=_SOURCE,
    requires=frozenset({"tied"}),
)

BOUNDS = (
    TRIVIAL,
    TRIVIAL_TIED,
    LARGE_FAST_MEMORY,
    LARGE_FAST_MEMORY_FIRST_COLUMNS,
    LARGE_FAST_MEMORY_WIDE_VALUES,
    LARGE_FAST_MEMORY_NO_RECOMPUTATION,
    *SUMS,
    *SEGMENTS,
    *SEGMENTS_WITH_SUMS,
    NO_RECOMPUTATION,
    NO_RECOMPUTATION_SMALL_FAST_MEMORY,
    NEVER_SPILLED,
    TIED,
    TIED_SMALL_FAST_MEMORY,
    TIED_LARGE_FAST_MEMORY,
)


@cache
def known() -> tuple[Bound, ...]:
    """These, and those of other distributions."""
    return (*BOUNDS, *(guarded(bound) for bound in registered_bounds() if bound not in BOUNDS))


@cache
def families() -> dict[str, Bound]:
    """By the name of each bound that may be said of exact attention: the bound, or that of whose family it is."""
    named = {bound.name: bound for bound in known()}
    return {**{bound.name: named[bound.family] for tried in _TRIED for bound in tried if bound.family}, **named}


def applicable(setting: Setting) -> Iterator[tuple[Bound, int]]:
    """The bounds that say something about this setting, and what they say in words.

    Bounds by segments come with the length, of those tried, that gives the most words.
    """
    for bound in known():
        if bound not in SEGMENTS and bound.applies(setting):
            yield bound, bound.words(setting)
    found = _best_segments(setting)
    if found is not None:
        yield found


def _best_segments(setting: Setting) -> tuple[Bound, int] | None:
    """Of the bounds by segments the one that says the most.

    As the length F of a segment goes from M to 2M, what the best a gives is concave: c and c^2 are, and the pieces meet with
    one slope, or a smaller one after. So the best of the lengths is found by bisection, in floating point; it and its
    neighbours are evaluated exactly.
    """
    if any(bound.excludes & setting.properties for bound in SEGMENTS):
        return None
    letters = floats(setting.sizes)

    @cache
    def roughly(number: int) -> float:
        return max(bound.roughly(letters) for bound in _TRIED[number])

    low, high = 0, _STEPS
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if roughly(middle + 1) > roughly(middle) else (low, middle)
    near = range(max(0, low - 1), min(_STEPS, low + 1) + 1)
    # c d <= 1 or c d >= 1: of each length one bound applies
    found = [(bound.words(setting), bound) for number in near for bound in _TRIED[number] if bound.applies(setting)]
    words, bound = max(found, key=lambda each: each[0])
    return bound, words


def compulsory(setting: Setting) -> Iterator[tuple[Bound, int]]:
    """Of `applicable` those that hold for all that depends on all its inputs."""
    for bound in known():
        if bound.compulsory and bound.applies(setting):
            yield bound, bound.words(setting)


def greatest(setting: Setting) -> tuple[Bound, int]:
    """The bound that says the most about this setting, and what it says. Units: words."""
    return max(applicable(setting), key=lambda found: found[1])
