"""Inequalities and counting that several theorems use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from typing import Any

import sympy
from sympy import And, Eq, Ge, Gt, Le, Or, Rational

from iosim.proof import Fact, argue, cases, cite, exhaust, prove
from iosim.proof.reals import Formula, Measured
from proofs.model import M
from proofs.stays import count_pair, counted_stays, histories_of_a_pair, histories_of_an_output

# Any numbers that are not negative; facts are used by putting others in their place.
x, y, z, t, k = sympy.symbols("x y z t k", nonnegative=True)
V = sympy.Symbol("V", positive=True)
_W, R, F, _h, r = sympy.symbols("W R F h r", nonnegative=True)
T = sympy.Symbol("T", real=True)


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
def many_segments() -> Fact:
    """With at least two segments, all but the last are full."""
    return prove(
        "if h segments hold at most V each, and h - 1 of them have weight F after the first R",
        Ge(_W, F * T / V + R - F),
        given=[Le(T, _h * V), Ge(_W, R + (_h - 1) * F)],
        refuted=Ge(_W, F * T / V + R),
    )


@cache
def one_segment() -> Fact:
    """A single segment of weight r^2 (R + F) holds at most r^3 V."""
    return prove(
        "if there is one segment, of weight r^2 (R + F), which holds at most r^3 V",
        Ge(_W, F * T / V + R - F),
        given=[Le(T, r**3 * V), Eq(_W, r**2 * (R + F)), Le(r, 1), Le(R, F)],
        refuted=Ge(_W, F * T / V + R),
        at={V: 1, T: 0, _W: 0, r: 0, R: 1, F: 1},
    )


@cache
def one_or_more(h: Measured) -> Fact:
    """The two cases of theorems that count segments."""
    return argue("there is one segment, or there are more", Or(Eq(h, 1), Ge(h, 2)))


def weight_of_segments(
    segment: Fact,
    *,
    work: Any,
    most: Any,
    resident: Any,
    length: Any,
    W: Measured,
    h: Measured,
    unit: Any,
    root: Measured,
    per: int,
    given: Iterable[Formula] = (),
) -> Fact:
    """W >= length work/most + resident - length: what the moves of a schedule weigh, by what its segments do.

    Args:
        segment: a segment of weight per unit^2 does at most `most`, one of weight per root^2 (root/unit)^3 times that.
        work: of all segments.
        most: of one that is full.
        resident, length: weights of what is in fast memory as a segment begins, and of what comes; per unit^2 together.
        W: weight of all moves.
        h: number of segments.
        unit, root: roots of a per-th of the weight of a full segment, and of the only segment if there is one.
        per: what these are roots of.
        given: when that holds.
    """
    given = tuple(given)
    single = argue(
        f"the only segment, of weight {per} {root}^2",
        And(Le(work, most * (root / unit) ** 3), Eq(per * root**2, W), Le(W, resident + length)),
        given=[*given, Eq(h, 1)],
        using=[segment, cut_where_weight_is_full()],
    )
    if_many = _weight_of_several(segment, work, most, resident, length, W, h, given)
    if_one = prove(
        "the weight of one segment",
        Ge(W, length * work / most + resident - length),
        given=[*given, Eq(h, 1)],
        using=[single, one_segment().at({T: work, V: most, _W: W, R: resident, F: length, r: root / unit})],
        refuted=Ge(W, length * work / most + resident),
    )
    return cases("the weight of any number of segments", [if_many, if_one], given=given, using=[one_or_more(h)])


def weight_by_rate(
    segment: Fact, *, work: Any, rate: Any, W: Measured, h: Measured, given: Iterable[Formula] = ()
) -> Fact:
    """W >= work/(2 rate): as `weight_of_segments`, for a first segment of weight 2M and others of M, from what a word does.

    Args:
        segment: one with X words does at most X times `rate`; X is W if it is the only one, and at most 2M.
        work, W, h, given: as there.
        rate: what a segment does, at most, for each word.
    """
    given = tuple(given)
    single = argue("the only segment, with X = W", Le(work, W * rate), given=[*given, Eq(h, 1)], using=[segment])
    if_many = _weight_of_several(segment, work, 2 * M * rate, M, M, W, h, given)
    if_one = prove(
        "the weight of one segment",
        Ge(W, work / (2 * rate)),
        given=[*given, Eq(h, 1)],
        using=[single, _half_of_one_segment().at({T: work, V: rate, _W: W})],
        refuted=Ge(W, 2 * work / rate),
    )
    return cases("the weight of any number of segments", [if_many, if_one], given=given, using=[one_or_more(h)])


@cache
def _half_of_one_segment() -> Fact:
    """A single segment, which starts with nothing, has twice the weight that is claimed."""
    return prove(
        "if there is one segment, which holds at most V for each word",
        Ge(_W, T / (2 * V)),
        given=[Le(T, _W * V)],
        refuted=Ge(_W, 2 * T / V),
    )


def _weight_of_several(
    segment: Fact,
    work: Any,
    most: Any,
    resident: Any,
    length: Any,
    W: Measured,
    h: Measured,
    given: tuple[Formula, ...],
) -> Fact:
    """W >= length work/most + resident - length for two segments or more."""
    several = argue(
        "the sum over h segments that are full, or do no more",
        And(Le(work, h * most), Gt(W, resident + (h - 1) * length)),
        given=[*given, Ge(h, 2)],
        using=[segment, cut_where_weight_is_full()],
    )
    return prove(
        "the weight of several segments",
        Ge(W, length * work / most + resident - length),
        given=[*given, Ge(h, 2)],
        using=[several, many_segments().at({T: work, V: most, _W: W, R: resident, F: length, _h: h})],
        refuted=Ge(W, length * work / most + resident),
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
