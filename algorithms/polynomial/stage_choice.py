"""Which blocks and which order in two stages of polynomial attention? Programs and closed forms are in `stages`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from algorithms.designs.choice import Listed, Numbers, Options, cheapest, least
from algorithms.designs.design import Design, GroupProducts, slots
from algorithms.polynomial.blocks import (
    design_tiles,
    products_io,
    products_peak,
    sums_io,
    sums_peak,
    widest,
)
from algorithms.polynomial.sizes import columns, prefixes, rows_executed
from algorithms.polynomial.stages import (
    o_stationary,
    o_stationary_io,
    o_stationary_peak,
    q_stationary,
    q_stationary_io,
    q_stationary_peak,
    stored_io,
    w_stationary,
)
from algorithms.shared.attention import whole
from iosim import Form, Plan, Problem, Size, ceil_div, maximum, symbols
from iosim.plan import Offer, built
from iosim.tiled import ROWS_EXECUTED

_O_STATIONARY = 1  # greatest degree for which O-stationary second stages are looked at


@dataclass(frozen=True)
class _Stage:
    """The blocks of a stage, the words moved in it, and how wide it is: `e` columns at a time, or `B_r` queries, or both."""

    design: Design
    words: int
    e: int = 0
    B_r: int = 0

    def values(self, d_v: int) -> dict[str, int]:
        """Of the letters in the closed forms."""
        words = {"NB": self.design.NB, "T": self.design.coordinates_words}
        NC = {"NC": columns(self.e, d_v).NC} if self.e else {}
        return {**NC, **words, **({"B_r": self.B_r} if self.B_r else {})}

    def tiles(self, d_v: int) -> dict[str, int]:
        """For people."""
        e = {"e": columns(self.e, d_v).e} if self.e else {}
        return {**design_tiles(self.design), **e, **self.values(d_v)}

    @property
    def kinds(self) -> list[tuple[int, int, bool]]:
        """(t, a, whether it is the last block) of each kind of block, and of the last."""
        return [(t, a, False) for t, a, *_ in self.design.kinds()] + [(*self.design.last, True)]


def stage_offers(name: str, problem: Problem, options: Options, capacity: int) -> Iterator[Offer]:
    """The best plan of each order of the second stage, all with the best first stage."""
    first = _first_stage(problem, options, capacity)
    if first is None:
        return
    for schedule, order in _ORDERS.items():
        second = order.best(problem, options, capacity)
        if second is not None:
            plan = partial(_plan, name, schedule, problem, first, second)
            yield Offer(io_words=first.words + second.words, plan=plan)


def least_words_of_stages(problem: Problem, options: Options) -> int:
    """The fewest words in which two stages run: one column and one query at a time. Units: words."""
    degree = problem.degree

    def of_first(found: Listed) -> Numbers:
        each: Numbers = sums_peak(t=found.t, a=found.a, e=1, degree=degree)
        return each.max(axis=0)

    def of_second(found: Listed) -> Numbers:
        each: Numbers = q_stationary_peak(t=found.t, B_r=1, degree=degree, last=False)
        last: Numbers = q_stationary_peak(t=found.last_t, B_r=1, degree=degree, last=True)
        needed = np.maximum(each.max(axis=0), last)
        outputs: Numbers = o_stationary_peak(t=found.t, e=1, B_r=1, degree=degree)
        return np.minimum(needed, outputs.max(axis=0)) if degree <= _O_STATIONARY else needed

    return max(least(options, of_first, allowed=options.in_runs), least(options, of_second))


def _first_stage(problem: Problem, options: Options, capacity: int) -> _Stage | None:
    n_k, d_v = problem.n_k, problem.d_v

    def cost(found: Listed, e: Numbers) -> Numbers:
        moved = sums_io(n_k=n_k, d_v=d_v, NC=columns(e, d_v).NC, NB=found.NB, T=found.T)
        return moved + stored_io(d_v=d_v, W_1=found.slots)

    fit = partial(widest, d_v=d_v, degree=problem.degree, capacity=capacity, last=False)
    best = cheapest(options, fit, cost, allowed=options.in_runs)
    return _Stage(best[1], best[0], e=best[2]) if best else None


def _w_stationary(problem: Problem, options: Options, capacity: int) -> _Stage | None:
    n, d_v = problem.n * problem.group, problem.d_v

    def cost(found: Listed, e: Numbers) -> Numbers:
        NC = columns(e, d_v).NC
        return _w_stationary_io(n=n, d_v=d_v, several=NC > 1, W_2=found.slots, NC=NC, NB=found.NB, T=found.T)

    fit = partial(widest, d_v=d_v, degree=problem.degree, capacity=capacity, last=True)
    best = cheapest(options, fit, cost)
    return _Stage(best[1], best[0], e=best[2]) if best else None


def _q_stationary(problem: Problem, options: Options, capacity: int) -> _Stage | None:
    n, d_v = problem.n * problem.group, problem.d_v
    room = capacity - 1 - prefixes(problem.degree)

    def fit(found: Listed) -> Numbers:
        rows = np.minimum(np.min(room // (found.t + 1), axis=0), room // (found.last_t + 2))
        return np.clip(rows, 0, n)

    def cost(found: Listed, B_r: Numbers) -> Numbers:
        return q_stationary_io(n=n, d_v=d_v, tiles=-(-n // B_r), NB=found.NB, T=found.T, W_2=found.slots)

    best = cheapest(options, fit, cost)
    return _Stage(best[1], best[0], B_r=best[2]) if best else None


def _o_stationary(problem: Problem, options: Options, capacity: int) -> _Stage | None:
    """For a small degree: above, one of the other orders moves fewer words (3.78 nrd M^(-2/3) against 3 at degree 2),
    and to look for the best blocks takes long."""
    n, d_v = problem.n * problem.group, problem.d_v
    if problem.degree > _O_STATIONARY:
        return None
    room = capacity - 1 - prefixes(problem.degree)
    best: tuple[int, _Stage] | None = None
    for NC, e in sorted({columns(e, d_v) for e in range(1, d_v + 2)}, reverse=True):

        def fit(found: Listed, e: int = e) -> Numbers:
            return np.clip(np.min(room // (found.t + e), axis=0), 0, n)

        def cost(found: Listed, B_r: Numbers, NC: int = NC) -> Numbers:
            several, tiles = int(NC > 1), -(-n // B_r)
            return o_stationary_io(n=n, d_v=d_v, NC=NC, tiles=tiles, T=found.T, W_2=found.slots, several=several)

        found = cheapest(options, fit, cost)
        if found and (best is None or found[0] < best[0]):
            best = found[0], _Stage(found[1], found[0], e=e, B_r=found[2])
    return best[1] if best else None


def _w_stationary_io(*, n: Size, d_v: Size, several: Size, W_2: Size, NC: Size, NB: Size, T: Size, **_: Size) -> Size:
    return products_io(n=n, d_v=d_v, NC=NC, NB=NB, T=T, several=several) + stored_io(d_v=d_v, W_1=W_2)


@dataclass(frozen=True)
class _Order:
    """An order of the second stage.

    Attributes:
        author: writes the program of both stages.
        best: the blocks and the width with the fewest words, if anything fits.
        io: of the second stage, from n, d_v, several, W_2, the letters of a `_Stage` and the number of tiles of queries.
        peak: from t, a, e, B_r, the degree and whether it is the last block.
        regime: of the second stage.
    """

    author: Callable[..., None]
    best: Callable[[Problem, Options, int], _Stage | None]
    io: Callable[..., Size]
    peak: Callable[..., Size]
    regime: str


_ORDERS: Mapping[str, _Order] = {
    "w-stationary": _Order(
        w_stationary,
        _w_stationary,
        _w_stationary_io,
        products_peak,
        "of the second, and one more for the last",
    ),
    "q-stationary": _Order(
        q_stationary,
        _q_stationary,
        q_stationary_io,
        q_stationary_peak,
        "B_r (t_2 + 1) + max(g, 1) for every block of the second, and B_r more for the last",
    ),
    "o-stationary": _Order(
        o_stationary,
        _o_stationary,
        o_stationary_io,
        o_stationary_peak,
        "B_r (t_2 + e_2) + max(g, 1) for every block of the second",
    ),
}


def _tiles(n: Size, letters: Mapping[str, Size]) -> Size:
    """Of queries."""
    return ceil_div(n, letters["B_r"]) if "B_r" in letters else 1


def _plan(name: str, schedule: str, problem: Problem, first: _Stage, second: _Stage) -> Plan:
    n, d_v, letters = problem.n * problem.group, problem.d_v, problem.letters
    order, degree = _ORDERS[schedule], problem.degree
    several = int(second.values(d_v).get("NC", 1) > 1)
    NC, NB, T, W_1, W_2 = symbols("NC", "NB", "T", "W_1", "W_2")
    other = {name: symbols(name if name == "B_r" else f"{name}_2")[0] for name in second.values(d_v)}
    closed_form = sums_io(n_k=letters["n_k"], d_v=letters["d_v"], NC=NC, NB=NB, T=T)
    closed_form += stored_io(d_v=letters["d_v"], W_1=W_1)
    tiles = _tiles(letters["n"], other)
    closed_form += order.io(n=letters["n"], d_v=letters["d_v"], several=several, W_2=W_2, tiles=tiles, **other)
    streams = {"N": 1, "c": 1} | ({"f": 1} if second.B_r else {})
    rows = {"B_r": second.B_r} if second.B_r else {}
    most = max(a for stage in (first, second) for _, a, _ in stage.kinds)
    executed = {**problem.sizes, "N": rows_executed(most, n), "c": d_v} | ({"f": most} if second.B_r else {})
    e_1, e_2 = columns(first.e, d_v).e, columns(second.e, d_v).e if second.e else 0
    grouped = {"e_2": e_2, "several_2": bool(several)} if second.e else {}
    peaks = [sums_peak(t=t, a=a, e=e_1, degree=degree) for t, a, _ in first.kinds]
    peaks += [order.peak(t=t, a=a, e=e_2, B_r=second.B_r, degree=degree, last=last) for t, a, last in second.kinds]
    return Plan(
        algorithm=name,
        schedule=schedule,
        program=built(
            order.author,
            name=f"{name} ({schedule})",
            **{"n": letters["n"], "n_k": letters["n_k"], "d": problem.d, "d_v": d_v},
            e=e_1,
            design=first.design,
            design_2=second.design,
            several=first.values(d_v)["NC"] > 1,
            coefficients=problem.coefficients,
            **{stream: stream for stream in streams},
            **({"B_r": "B_r"} if rows else {}),
            **grouped,
        ),
        sizes={**problem.sizes, **streams, **rows},
        tiles={
            "r": problem.features,
            **first.tiles(d_v),
            **{(x if x == "B_r" else f"{x}_2"): value for x, value in second.tiles(d_v).items()},
            "W_1": slots(first.design),
            "W_2": slots(second.design),
        },
        executed={**executed, **({"B_r": min(n, max(second.B_r, ROWS_EXECUTED))} if rows else {})},
        closed_form=closed_form,
        claimed_peak_words=max(map(whole, peaks)),
        regime=f"M holds a e + t + max(g, 1) words for every block of the first stage, and {order.regime}",
    )


def stage_forms(name: str) -> Iterator[Form]:
    """The schedules in symbols, with pairs of four groups as an example."""
    n, n_k, d_v, e, NC, NB, T, t, a, W_1 = symbols("n", "n_k", "d_v", "e", "NC", "NB", "T", "t", "a", "W_1")
    e_2, NC_2, NB_2, T_2, t_2, a_2, W_2, B_r, several = symbols(
        "e_2", "NC_2", "NB_2", "T_2", "t_2", "a_2", "W_2", "B_r", "several"
    )
    letters = {"NB": NB_2, "T": T_2}
    example = GroupProducts(8, 2, 4)
    for schedule, order in _ORDERS.items():
        rows = {} if schedule == "w-stationary" else {"B_r": "B_r", "f": 1}
        grouped = {} if schedule == "q-stationary" else {"e_2": "e_2", "several_2": True}
        more = ({"B_r": B_r} if rows else {}) | ({"NC": NC_2} if grouped else {})
        yield Form(
            schedule=schedule,
            program=built(
                order.author,
                name=f"{name} ({schedule})",
                n="n",
                n_k="n_k",
                d="d",
                d_v="d_v",
                e="e",
                N=1,
                c=1,
                design=example,
                design_2=example,
                several=True,
                coefficients=None,
                **rows,
                **grouped,
            ),
            io=sums_io(n_k=n_k, d_v=d_v, NC=NC, NB=NB, T=T)
            + stored_io(d_v=d_v, W_1=W_1)
            + order.io(n=n, d_v=d_v, several=several, W_2=W_2, tiles=_tiles(n, more), **letters, **more),
            peak=maximum(
                sums_peak(t=t, a=a, e=e, degree=2),
                order.peak(t=t_2, a=a_2, e=e_2, B_r=B_r, degree=2, last=True),
            ),
            regime="degree 2; NB blocks with T coordinates and W_1 sums in all, NC = ceil((d_v+1)/e) column groups; in the "
            "second stage NB_2, T_2, W_2, NC_2; several = 1 if NC_2 > 1",
        )
