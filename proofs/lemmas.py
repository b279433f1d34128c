"""Inequalities and counting that several theorems use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from typing import Any

import sympy
from sympy import And, Eq, Ge, Gt, Le, Or, Rational, sqrt

from iosim.bounds import exact
from iosim.proof import Fact, argue, cite, exhaust, prove
from iosim.proof.reals import Formula, Measured
from proofs.model import M, measured
from proofs.stays import count_pair, counted_stays, histories_of_a_pair, histories_of_an_output

# Any numbers that are not negative; facts are used by putting others in their place.
x, y, z, t, k = sympy.symbols("x y z t k", nonnegative=True)
V = sympy.Symbol("V", positive=True)
_W, R, F, _h, r = sympy.symbols("W R F h r", nonnegative=True)
T = sympy.Symbol("T", real=True)
# What theorems add to their leading terms, in units of M.
PLUS, PLUS_LARGE = (Rational(x.numerator, x.denominator) for x in (exact.PLUS, exact.PLUS_LARGE))


@cache
def product_of_two() -> Fact:
    """The geometric mean of two numbers is at most their arithmetic mean."""
    return prove(
        "the product of two numbers is at most the square of their mean",
        Le(4 * x * y, (x + y) ** 2),
        refuted=Le(5 * x * y, (x + y) ** 2),
    )


@cache
def product_of_three() -> Fact:
    """The geometric mean of three numbers is at most their arithmetic mean."""
    return prove(
        "the product of three numbers is at most the cube of their mean",
        Le(27 * x * y * z, (x + y + z) ** 3),
        refuted=Le(28 * x * y * z, (x + y + z) ** 3),
    )


@cache
def root_of_a_product() -> Fact:
    """The form in which Loomis-Whitney is combined with the inequality of the means."""
    return prove(
        "if t^2 <= r^2 x y then t is at most r times the mean of x and y",
        Le(2 * t, r * (x + y)),
        given=[Le(t**2, r**2 * x * y)],
        using=[product_of_two()],
        refuted=Le(3 * t, r * (x + y)),
    )


@cache
def cubic() -> Fact:
    """The greatest value of t (3k^2 - t^2) for t >= 0 is taken at t = k."""
    return prove(
        "t (3k^2 - t^2) is greatest at t = k",
        Le(t * (3 * k**2 - t**2), 2 * k**3),
        refuted=Le(t * (3 * k**2 - t**2), Rational(19, 10) * k**3),
    )


@cache
def last_segment() -> Fact:
    """What segments of 3R words that hold at most V each have moved, if a share of r^2 of the words holds r^3 V."""
    return prove(
        "if h - 1 segments hold at most V each, and a last one of 3R r^2 words r^3 V",
        Ge(_W, 2 * R * T / V + PLUS * R),
        given=[
            Eq(3 * R * r**2, _W - 2 * (_h - 1) * R),
            Le(T, (_h - 1 + r**3) * V),
            Le(r, 1),
            Or(Eq(_h, 1), Ge(3 * r**2, 1)),
            Ge(5 * T, V),
        ],
        refuted=Ge(_W, 2 * R * T / V + Rational(62, 100) * R),
        at={R: 1, V: 1, _h: 2, r: 1 / sqrt(3), T: 1 + 1 / sqrt(27), _W: 3},
    )


def weight_of_segments(
    segment: Fact,
    *,
    work: Any,
    most: Any,
    resident: Any,
    W: Measured,
    h: Measured,
    last: Measured,
    given: Iterable[Formula] = (),
) -> Fact:
    """W >= 2 resident work/most + 3/5 resident, where 5 work >= most: what the moves of a schedule weigh, by what its
    segments do.

    Args:
        segment: one with 3 resident words does at most `most`, one with r^2 times as many words r^3 times as much.
        work: of all segments.
        most: of one that is full.
        resident: weight of what is in fast memory as a segment begins; twice as much comes in a segment.
        W: weight of all moves.
        h: number of segments.
        last: root of the words of the last segment, in units of 3 resident.
        given: when that holds.
    """
    given = tuple(given)
    cut = argue(
        "every segment but the last is full; the last one has the weight that is left, and what was there as it began: if "
        "it is the first, nothing was, else some weight is left besides what can be there",
        And(
            Eq(3 * resident * last**2, W - 2 * (h - 1) * resident),
            Le(work, (h - 1 + last**3) * most),
            Le(last, 1),
            Or(Eq(h, 1), Ge(3 * last**2, 1)),
        ),
        given=given,
        using=[segment, cut_where_weight_is_full()],
    )
    return prove(
        "the weight of any number of segments",
        Ge(W, 2 * resident * work / most + PLUS * resident),
        given=[*given, Ge(5 * work, most)],
        using=[cut, last_segment().at({T: work, V: most, _W: W, R: resident, _h: h, r: last})],
        refuted=Ge(W, 2 * resident * work / most + resident),
    )


def equal_segments(name: str, *of: sympy.Symbol) -> tuple[Measured, Measured, Measured]:
    """What `weight_of_equal_segments` is about: h, m and X."""
    return (
        measured(f"h{name}", "segments at most: the whole number next below leading/M^2", *of),
        measured(f"m{name}", "root of leading/h", *of),
        measured(f"X{name}", "words of a segment at most: (W + (h - 1) M)/h", *of),
    )


def weight_of_equal_segments(
    segment: Fact,
    *,
    work: Any,
    per: Any,
    W: Measured,
    h: Measured,
    m: Measured,
    X: Measured,
    large: Iterable[Formula],
    given: Iterable[Formula],
) -> Fact:
    """W >= leading/M + 4/5 M where leading = per work/2 >= M^2: what the moves of a schedule weigh, by what its segments do.

    Args:
        segment: if m is `large` and X <= 2m, one with X words does at most X m/per.
        work: of all segments.
        per: see `segment`.
        W: weight of all moves; however the schedule is cut, it is the same.
        h, m, X: as in `equal_segments`.
        large: what m has to be for that.
        given: the same of M.
    """
    leading = per * work / 2
    enough = [*given, Ge(leading, M**2)]
    root = argue(
        "h is a whole number, and h m^2 = leading",
        And(Ge(h, 1), Le(h * M**2, leading), Le(leading, (h + 1) * M**2), Eq(h * m**2, leading)),
        given=[Ge(leading, M**2)],
    )
    larger = prove("m >= M", Ge(m, M), given=enough, using=[root], refuted=Ge(m, Rational(101, 100) * M))
    words = argue("X is the words of a segment at most", Eq(h * X, W + (h - 1) * M))
    full = argue(
        "if X <= 2m: the sum over at most h segments of what each of them does at most",
        Or(Gt(X, 2 * m), Le(per * work, h * X * m)),
        given=large,
        using=[segment, cut_in_equal_segments()],
    )
    more = prove(
        "a segment has 2m words or more, if all are equal: else they do less than the work",
        Ge(X, 2 * m),
        given=enough,
        using=[root, larger, full],
        refuted=Ge(X, Rational(201, 100) * m),
    )
    return prove(
        "the weight of at most h segments",
        Ge(W, leading / M + PLUS_LARGE * M),
        given=enough,
        using=[root, larger, words, more, next_below().at({_h: h, y: m / M})],
        refuted=Ge(W, leading / M + 2 * M),
    )


@cache
def next_below() -> Fact:
    """What h segments of 2m words have moved, where h is next below the square of y = m/M."""
    return prove(
        "2h y - h + 1 >= h y^2 + 4/5",
        Ge(2 * _h * y - _h + 1, _h * y**2 + PLUS_LARGE),
        given=[Ge(_h, 1), Ge(y, 1), Le(_h * y**2, _h + 1)],
        refuted=Ge(2 * _h * y - _h + 1, _h * y**2 + Rational(83, 100)),
        at={_h: 1, y: sqrt(2)},
    )


@cache
def loomis_whitney() -> Fact:
    """The inequality in three dimensions; small boxes are checked one set after another."""
    small = exhaust(
        "Loomis-Whitney for every set of cells of a 2 x 2 x 3 box",
        _sets((2, 2, 3)),
        lambda cells: len(cells) ** 2 <= _shadows(cells),
        refuted=lambda cells: not cells or len(cells) ** 2 < _shadows(cells),
    )
    return cite(
        "Loomis-Whitney: a set of triples (i, j, l) with x pairs (i, j), y pairs (j, l) and z pairs (i, l) has at most "
        "sqrt(x y z) elements",
        "L. H. Loomis and H. Whitney, An inequality related to the isoperimetric inequality, Bull. AMS 55 (1949), 961-962",
        beside=[small],
    )


Cells = tuple[tuple[int, ...], ...]


def _sets(sizes: tuple[int, int, int]) -> Iterator[Cells]:
    box = list(product(*map(range, sizes)))
    for chosen in range(2 ** len(box)):
        yield tuple(cell for number, cell in enumerate(box) if chosen >> number & 1)


def _shadows(cells: Cells) -> int:
    """The product of the numbers of cells in the three shadows."""
    return len({c[:2] for c in cells}) * len({c[1:] for c in cells}) * len({(c[0], c[2]) for c in cells})


@cache
def stays_of_an_output() -> Fact:
    """What it costs to add to one output word in several stays in fast memory; tiny histories are checked one by one."""
    tiny = exhaust(
        "stores and loads of one output word in every history of up to 9 events",
        histories_of_an_output(9),
        lambda history: counted_stays(history) <= min(history.count("store"), history.count("load") + 1),
        refuted=lambda history: counted_stays(history) <= history.count("load"),
    )
    return argue(
        "a stay of an output word in fast memory is counted if a designated product is added in it; that value gets out "
        "only by a store within the stay, so m counted stays have m stores; it gets on, except from the one stay with "
        "the final store, by a load of what was stored in it, and a loaded word was stored in one stay only, so they "
        "have m - 1 loads that are distinct",
        beside=[tiny],
    )


@cache
def work_of_free_stays() -> Fact:
    """What the stays of one pair cost and do, for short histories of a pair with d = 2."""
    return exhaust(
        "payment, work and weight of the stays of one pair with d = 2, in every history of up to 8 events",
        (count for count in map(count_pair, histories_of_a_pair(8)) if count.possible),
        lambda pair: pair.charged <= pair.moves and pair.work >= 2 * max(pair.free, 1) and pair.weighed,
        refuted=lambda pair: pair.work >= 2 * max(pair.free, 1) + 1,
    )


@cache
def cut_where_weight_is_full() -> Fact:
    """A schedule cut into segments by the weight of its moves; short sequences of moves are checked one by one."""
    # In halves of a word: weights 1/2 and 1, resident weight R from 1 to 2, segments from R to 3.
    histories = (
        (R, F, weights)
        for R in (2, 3, 4)
        for F in range(R, 7)
        for length in range(1, 11)
        for weights in product((1, 2), repeat=length)
    )

    def full(case: tuple[int, int, tuple[int, ...]]) -> bool:
        R, F, weights = case
        inside, h = _cut(R, F, weights)
        return inside[0] <= R + F and max(inside[1:], default=0) <= F and (h == 1 or sum(weights) > R + (h - 1) * F)

    short = exhaust(
        "segments of every sequence of up to 10 moves of weight 1/2 or 1",
        histories,
        full,
        refuted=lambda case: _cut(*case)[1] == 1 or sum(case[2]) > case[0] + _cut(*case)[1] * case[1],
    )
    return argue(
        "segment k ends when the weight of all moves so far first exceeds R + k F, and the move by which it does so belongs "
        "to the state in which the next segment starts; a move weighs at most F, so no segment is skipped. So the first "
        "segment has weight at most R + F, a later one at most F besides what is resident at its start, and if there are "
        "h >= 2 segments then segment h - 1 has ended: the whole weight exceeds R + (h - 1) F",
        beside=[short],
    )


@cache
def cut_in_equal_segments() -> Fact:
    """A schedule cut into at most h segments of X words; short sequences of moves are checked one by one."""
    # In halves of a word: weights 1/2 and 1, resident weight R from 1 to 2.
    histories = (
        (h, R, weights)
        for h in range(1, 6)
        for R in (2, 3, 4)
        for length in range(1, 11)
        for weights in product((1, 2), repeat=length)
    )

    def fits(case: tuple[int, int, tuple[int, ...]], spare: int = 0) -> bool:
        h, R, weights = case
        X = sum(weights) + (h - 1) * R - spare  # in h-ths of a half
        inside, segments = _cut(h * R, X - h * R, tuple(h * weight for weight in weights))
        return inside[0] <= X and all(later <= X - h * R for later in inside[1:]) and segments <= h

    short = exhaust(
        "at most h segments of every sequence of up to 10 moves of weight 1/2 or 1",
        histories,
        fits,
        refuted=lambda case: fits(case, spare=case[0]),
    )
    return argue(
        "the first segment ends when the weight of all moves so far first exceeds X, the others each time that it first "
        "exceeds X - R more, and the move by which it does so belongs to the state in which the next segment starts, which "
        "weighs at most R. With h X = W + (h - 1) R, where W is the whole weight, it never exceeds X + (h - 1)(X - R) = W: "
        "so there are at most h segments. The first one has weight at most X, a later one at most X - R besides what is "
        "resident at its start. If W < R then W < X, and there is one",
        beside=[short],
    )


def _cut(R: int, F: int, weights: tuple[int, ...]) -> tuple[list[int], int]:
    """The weight inside each segment, without the moves by which segments end; and their number."""
    inside, total = [0], 0
    for weight in weights:
        total += weight
        if total > R + len(inside) * F:
            inside.append(0)
        else:
            inside[-1] += weight
    return inside, len(inside)
