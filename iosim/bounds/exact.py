"""Lower bounds for exact attention, for every schedule of the two-level machine, with their constants.

The proofs are in `proofs.exact_attention` and the modules that it names, what they speak of in `proofs.model`. All bounds
hold for every mask, batch and grouping of heads, through the number N of pairs that meet; softmax statistics, rescaling and
the maximum shift cost nothing in them. Where d_v = d, write u = d/sqrt(M): they say 4u^2 N + 4M/5 for u <= 1/2 and
(4u - 1) N + 3M/5 beyond. If sums take w words each, (1 + sqrt(w))^2 u^2 N for little u, or 2 (1 + w) u^2 N if no score is
computed twice, less (w - 1) n_q d_v: for w = 1 both are 4u^2 N.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache, partial
from typing import Any

from iosim.bounds.bound import Bound, Condition, Formula, Letters, Setting
from iosim.bounds.registered import guarded, registered_bounds

_SOURCE = "iosim, proofs.exact_attention and the modules that it names"
# What theorems add to their leading terms, in units of M, and a little less: 1 - 2/27^(1/2) for segments whose work grows
# with their words to the power of 3/2, 2 (2^(1/2) - 1) for the power of 2.
PLUS, PLUS_LARGE = Fraction(3, 5), Fraction(4, 5)


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

# A large fast memory: from M = 4 d^2 on; for wide values from M = WIDE_VALUES d^2 on.
WIDE_VALUES = Fraction(128, 27)
TIED_VALUES = WIDE_VALUES / 4  # where values are tied and d_v = d


def _large(
    leading: Formula,
    conditions: Callable[[Letters], tuple[Condition, ...]],
    *,
    rest: Formula = lambda _: 0,
    rational: Formula | None = None,
    **of: Any,
) -> Bound:
    """leading/M + 4M/5 - rest, up to M^2 = leading, or what is rational and no more."""
    most = leading if rational is None else rational
    return Bound(
        formula=lambda x: leading(x) / x.M + x.number(PLUS_LARGE) * x.M - rest(x),
        conditions=lambda x: (*conditions(x), (most(x), x.M**2)),
        source=_SOURCE,
        **of,
    )


LARGE_FAST_MEMORY = _large(
    lambda x: x.N * (x.d + x.d_v) ** 2,
    lambda x: ((x.M, 4 * x.d**2), (x.d, x.d_v)),
    name="io_at_least_N_d_plus_dv_squared_over_M_plus_4M_over_5",
    theorem="io_in_a_large_fast_memory",
    excludes=frozenset({"tied"}),
)

LARGE_FAST_MEMORY_FIRST_COLUMNS = _large(
    lambda x: 4 * x.N * x.d**2,
    lambda x: ((x.M, 4 * x.d**2), (x.d_v, x.d + 1)),
    name="io_at_least_4N_d_squared_over_M_plus_4M_over_5",
    theorem="io_in_a_large_fast_memory",
    excludes=frozenset({"tied"}),
)

LARGE_FAST_MEMORY_WIDE_VALUES = _large(
    lambda x: 4 * x.N * x.d * x.d_v,
    lambda x: ((x.M, x.number(WIDE_VALUES) * x.d**2), (x.d_v, x.d)),
    name="io_at_least_4N_d_dv_over_M_plus_4M_over_5",
    theorem="io_in_a_large_fast_memory",
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
        return x.N * (x.d + x.d_v) * (x.d + x.number(words) * x.d_v)

    def twice(x: Letters) -> Any:
        return x.N * x.d * x.d_v * (1 + x.sqrt(x.number(words))) ** 2

    first = f"io_at_least_N_d_plus_dv_times_d_plus_{words}_dv_over_M_plus_4M_over_5_with_sums_of_{words}_words"
    second = f"io_at_least_N_d_dv_1_plus_root_{words}_squared_over_M_plus_4M_over_5_with_sums_of_{words}_words"
    width: Any = f"sums of {words} words"
    build = partial(_large, rest=last_stores, theorem="io_with_wide_sums", excludes=frozenset({"tied"}))
    return (
        build(
            narrow,
            lambda x: (large(x), (x.d**2, x.number(words) * x.d_v**2)),
            name=first,
            requires=frozenset({width}),
        ),
        build(
            twice,
            lambda x: (large(x), (3 * x.M, 4 * x.d * (x.d + (1 + x.number(words)) * x.d_v))),
            rational=lambda x: x.N * x.d * x.d_v * (x.number(words) + 3),
            name=second,
            requires=frozenset({width}),
        ),
        build(
            narrow,
            lambda x: (
                large(x),
                (x.M, 4 * x.number(words) * x.d_v**2),
                (x.number(words) * x.d_v**2, x.d**2),
            ),
            name=f"{first}_without_recomputation",
            requires=frozenset({width, "no recomputation"}),
        ),
    )


# Of fp32 beside 16 bits, and beside 8.
SUMS = (*sums_bounds(2), *sums_bounds(4))


@cache
def segment_bounds(words: int = 1) -> tuple[Bound, ...]:
    """The bounds of segments of 2M weighted moves.

    For any a <= min(1, 2d/sqrt(M)) and 5 N a (d + d_v) >= M^(3/2), traffic >= N (2a (d + d_v)/sqrt(M) - a^2) + 3M/5. The
    three bounds are those of the best a, up to the M from which on they grow with M. For sums of w words, see `sums_bounds`,
    d_v is sqrt(w) times as much there, and (w - 1) n_q d_v is subtracted; there are the last two bounds, for all d_v.
    """

    def width(x: Letters) -> Any:
        return x.d_v if words == 1 else x.sqrt(x.number(Fraction(words))) * x.d_v

    def more(x: Letters) -> Any:
        return x.number(PLUS) * x.M - (words - 1) * x.n_q * x.d_v

    wide = words > 1
    share = "plus_3M_over_5" + (f"_with_sums_of_{words}_words" if wide else "")
    build = partial(
        Bound,
        theorem="io_with_wide_sums" if wide else "io_in_any_fast_memory",
        source=_SOURCE,
        requires=frozenset({f"sums of {words} words"} if wide else ()),  # type: ignore[arg-type]
        excludes=frozenset({"tied"}),
    )
    root = f"root_{words}_" if wide else ""
    narrow = build(
        name=f"io_at_least_N_d_plus_dv_squared_over_M_{share}",
        formula=lambda x: x.N * (x.d + x.d_v) ** 2 / x.M + more(x),
        conditions=lambda x: (
            (x.M, (x.d + x.d_v) ** 2),
            (x.d, x.d_v),
            (5 * x.N * (x.d + x.d_v) ** 2, 3 * x.M**2),
        ),
    )
    others = (
        build(
            name=f"io_at_least_4{'_' * wide}{root}N_d_dv_over_M_{share}",
            formula=lambda x: 4 * x.N * x.d * width(x) / x.M + more(x),
            conditions=lambda x: (
                (x.M, 4 * x.d**2),
                *(() if wide else ((x.d_v, x.d),)),
                (20 * x.N * x.d * x.d_v, 3 * x.M**2),
            ),
        ),
        build(
            name=f"io_at_least_2N_d_plus_{root}dv_over_root_M_minus_N_{share}",
            formula=lambda x: x.N * (2 * (x.d + width(x)) / x.sqrt(x.M) - 1) + more(x),
            conditions=lambda x: ((4 * x.d**2, x.M), (25 * x.N**2 * (x.d + x.d_v) ** 2, 9 * x.M**3)),
        ),
    )
    return others if wide else (narrow, *others)


SEGMENTS = segment_bounds()
SEGMENTS_WITH_SUMS = (*segment_bounds(2), *segment_bounds(4))

# Without recomputation the condition a <= c d of segments is not needed: their bounds for d_v <= d hold for every d_v.
NO_RECOMPUTATION = Bound(
    name="io_at_least_N_d_plus_dv_squared_over_M_plus_3M_over_5_without_recomputation",
    formula=lambda x: x.N * (x.d + x.d_v) ** 2 / x.M + x.number(PLUS) * x.M,
    conditions=lambda x: ((x.M, (x.d + x.d_v) ** 2), (5 * x.N * (x.d + x.d_v) ** 2, 3 * x.M**2)),
    theorem="io_without_recomputation",
    source=_SOURCE,
    requires=frozenset({"no recomputation"}),
    excludes=frozenset({"tied"}),
)

NO_RECOMPUTATION_SMALL_FAST_MEMORY = Bound(
    name="io_at_least_2N_d_plus_dv_over_root_M_minus_N_plus_3M_over_5_without_recomputation",
    formula=lambda x: x.N * (2 * (x.d + x.d_v) / x.sqrt(x.M) - 1) + x.number(PLUS) * x.M,
    conditions=lambda x: (((x.d + x.d_v) ** 2, x.M), (25 * x.N**2 * (x.d + x.d_v) ** 2, 9 * x.M**3)),
    theorem="io_without_recomputation",
    source=_SOURCE,
    requires=frozenset({"no recomputation"}),
    excludes=frozenset({"tied"}),
)

# What it costs never to store a score.
NEVER_SPILLED = Bound(
    name="io_at_least_4_828_N_d_over_root_M_if_no_score_is_stored",
    formula=lambda x: (
        x.N * (2 * x.d / x.sqrt(x.M) + 2 * x.d_v * x.sqrt(2 / x.M) - 3) - x.n_q * x.d_v + 3 * x.number(PLUS) * x.M
    ),
    conditions=lambda x: ((25 * x.N**2 * x.d**2, 9 * x.M**3), (25 * x.N**2 * x.d_v**2, 18 * x.M**3)),
    theorem="io_if_no_score_is_stored",
    source=_SOURCE,
    requires=frozenset({"no recomputation", "no spilling"}),
    excludes=frozenset({"tied"}),
)

# V is the first d_v columns of K.
TIED = Bound(
    name="io_at_least_N_d_plus_dv_squared_over_2M_plus_3M_over_5_if_tied",
    formula=lambda x: x.N * (x.d + x.d_v) ** 2 / (2 * x.M) + x.number(PLUS) * x.M,
    conditions=lambda x: ((2 * x.M, (x.d + x.d_v) ** 2), (x.d, x.d_v), (5 * x.N * (x.d + x.d_v) ** 2, 6 * x.M**2)),
    theorem="io_for_tied_values",
    source=_SOURCE,
    requires=frozenset({"tied"}),
)

TIED_SMALL_FAST_MEMORY = Bound(
    name="io_at_least_root_2_N_d_plus_dv_over_root_M_minus_N_plus_3M_over_5_if_tied",
    formula=lambda x: x.N * (x.sqrt(2 / x.M) * (x.d + x.d_v) - 1) + x.number(PLUS) * x.M,
    conditions=lambda x: ((2 * x.d**2, x.M), (x.d, x.d_v), (25 * x.N**2 * (x.d + x.d_v) ** 2, 18 * x.M**3)),
    theorem="io_for_tied_values",
    source=_SOURCE,
    requires=frozenset({"tied"}),
)

# From TIED_VALUES d^2 words on where d_v = d, from WIDE_VALUES d^2 where it is small.
TIED_LARGE_FAST_MEMORY = _large(
    lambda x: x.N * x.d * (x.d + x.d_v),
    lambda x: ((x.M, x.number(TIED_VALUES) * x.d * (4 * x.d - 3 * x.d_v)), (x.d, x.d_v)),
    name="io_at_least_N_d_times_d_plus_dv_over_M_plus_4M_over_5_if_tied",
    theorem="io_for_tied_values",
    requires=frozenset({"tied"}),
)

BOUNDS = (
    TRIVIAL,
    TRIVIAL_TIED,
    LARGE_FAST_MEMORY,
    LARGE_FAST_MEMORY_FIRST_COLUMNS,
    LARGE_FAST_MEMORY_WIDE_VALUES,
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


def applicable(setting: Setting) -> Iterator[tuple[Bound, int]]:
    """The bounds that say something about this setting, and what they say in words."""
    for bound in known():
        if bound.applies(setting):
            yield bound, bound.words(setting)


def compulsory(setting: Setting) -> Iterator[tuple[Bound, int]]:
    """Of `applicable` those that hold for all that depends on all its inputs."""
    for bound in known():
        if bound.compulsory and bound.applies(setting):
            yield bound, bound.words(setting)


def greatest(setting: Setting) -> tuple[Bound, int]:
    """The bound that says the most about this setting, and what it says. Units: words."""
    return max(applicable(setting), key=lambda found: found[1])
