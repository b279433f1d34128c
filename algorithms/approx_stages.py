"""Polynomial attention in two stages, each with the block design and the order that suit it: the feature sums W are stored
by the first stage and loaded by the second, a number of words that does not grow with n.

    first stage     the sums of a block, for a group of columns, stay; K and V are streamed
    second stage    W-stationary: the sums of a block, for a group of columns, stay; Q and O are streamed
                    Q-stationary: B_r rows of Q stay, with one column of O at a time; W is streamed
                    O-stationary: B_r rows of O stay, in a group of columns; Q and W are streamed
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from algorithms.approx_blocks import (
    Options,
    columns,
    design_tiles,
    ends,
    groups,
    make_sums,
    products_io,
    products_peak,
    sums_io,
    sums_peak,
    use_sums,
    whole,
    widest,
    zeros,
)
from algorithms.approx_resident import prefixes, rows_executed
from algorithms.block_choice import Blocks, cheapest, least
from algorithms.designs import Design, GroupProducts, Part, Stored, in_runs, slots
from algorithms.feature_sums import FeatureSums
from iosim import FULL, Builder, Form, Plan, Problem, Size, binomial, ceil_div, maximum, symbols
from iosim.algorithm import Offer, built
from iosim.builder import ArrayHandle

_ROWS_EXECUTED = 256
_O_STATIONARY = 1  # greatest degree for which O-stationary second stages are looked at


def store_sums(
    sums: FeatureSums, *, d: Size, d_v: Size, e: Size, design: Design, several: bool
) -> tuple[ArrayHandle, ...]:
    """The first stage: for each block, for each group of columns, sum its features over the keys and store the sums.

    Returns: Q, O, the sums for the columns of V and the sums for the column of ones.
    """
    b = sums.b
    Q, K, V = b.input("Q", (sums.n, d)), b.input("K", (sums.n_k, d)), b.input("V", (sums.n_k, d_v))
    O = b.output("O", (sums.n, d_v), needs=sums.needs(Q, K, V))
    S, s = b.scratch("W", (slots(design), d_v)), b.scratch("w", (slots(design), 1))
    with b.table("s", Stored(design)) as block:
        begin = block.size("offset") + block.size("a") * block.number
        rows = slice(begin, begin + block.size("a"))
        for start, size, ones in groups(b, d_v, e, several):
            W, w = zeros(b, block, size, ones)
            make_sums(sums, K, V, block, W, w, start, size, use=None)
            b.store(W, S[rows, start : start + size])
            if w:
                b.store(w, s[rows, :])
            b.free(W, *([w] if w else []))
    return Q, O, S, s


def _all_keys(
    b: Builder, *, n: Size, n_k: Size, N: Size, c: Size, degree: int, coefficients: tuple[float, ...] | None
) -> FeatureSums:
    """Sums over all keys, whatever the query."""
    return FeatureSums(b=b, n=n, n_k=n_k, mask=FULL, g=1, B=1, N=N, c=c, degree=degree, weights=coefficients)


def w_stationary(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    e: Size,
    e_2: Size,
    N: Size,
    c: Size,
    design: Design,
    design_2: Design,
    several: bool,
    several_2: bool,
    coefficients: tuple[float, ...] | None,
) -> None:
    """The second stage with other blocks and groups of columns: as in the block schedule, with sums that are loaded."""
    sums = _all_keys(b, n=n, n_k=n_k, N=N, c=c, degree=design.degree, coefficients=coefficients)
    Q, O, S, s = store_sums(sums, d=d, d_v=d_v, e=e, design=design, several=several)
    Z = b.scratch("Z", (n, 1))
    for where in ends(design_2):
        with b.table("b", Part(design_2, where, design)) as block:
            rows = block.coordinates("rows", "a")
            for start, size, ones in groups(b, d_v, e_2, several_2):
                W = b.load(S[rows, start : start + size], "W")
                w = b.load(s[rows, :], "w") if ones else None
                with b.tiles("i", n, N) as i:
                    use_sums(sums, Q, O, Z, block, W, w, start, size, where, several_2, i, n_k, None)
                b.free(W, *([w] if w else []))


def q_stationary(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    e: Size,
    B_r: Size,
    N: Size,
    c: Size,
    f: Size,
    design: Design,
    design_2: Design,
    several: bool,
    coefficients: tuple[float, ...] | None,
) -> None:
    """The second stage with B_r queries at a time: for each block and column, the sums are streamed, by f (one)."""
    sums = _all_keys(b, n=n, n_k=n_k, N=N, c=c, degree=design.degree, coefficients=coefficients)
    Q, O, S, s = store_sums(sums, d=d, d_v=d_v, e=e, design=design, several=several)
    Z, degree = b.scratch("Z", (n, 1)), design.degree
    with b.tiles("i", n, B_r) as i:
        for where in ends(design_2):
            first, last = where in ("only", "first"), where in ("only", "last")
            with b.table("b", Part(design_2, where, design)) as block:
                phi, a = block.value("monomials"), block.size("a")
                q = b.load(Q[i, block.coordinates("coords", "t")])
                z = b.zeros("z", i, 1) if first else b.load(Z[i, :])
                with b.tiles("f", a, f) as x, b.load(s[block.coordinates("rows", x), :], "w") as w:
                    b.op("add_some_feature_products", z, q, w, monomials=phi, first=x, degree=degree)
                if not last:
                    b.store(z, Z[i, :])
                    b.free(z)
                with b.tiles("l", d_v, c) as l:
                    y = b.zeros("y", i, l) if first else b.load(O[i, l], "y")
                    with b.tiles("f", a, f) as x, b.load(S[block.coordinates("rows", x), l], "W") as W:
                        b.op("add_some_feature_products", y, q, W, monomials=phi, first=x, degree=degree)
                    if last:
                        b.op("divide_by_column", y, z)
                    b.store(y, O[i, l])
                    b.free(y)
                b.free(q, *([z] if last else []))


def o_stationary(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    e: Size,
    e_2: Size,
    B_r: Size,
    N: Size,
    c: Size,
    f: Size,
    design: Design,
    design_2: Design,
    several: bool,
    several_2: bool,
    coefficients: tuple[float, ...] | None,
) -> None:
    """The second stage with B_r rows of a group of columns of O at a time: for each block, its coordinates of Q are
    loaded, and its sums are streamed, by f (one)."""
    sums = _all_keys(b, n=n, n_k=n_k, N=N, c=c, degree=design.degree, coefficients=coefficients)
    Q, O, S, s = store_sums(sums, d=d, d_v=d_v, e=e, design=design, several=several)
    Z, degree = b.scratch("Z", (n, 1)), design.degree
    for start, size, ones in groups(b, d_v, e_2, several_2):
        with b.tiles("i", n, B_r) as i:
            y = b.zeros("y", i, size)
            z = b.zeros("z", i, 1) if ones else None
            with b.table("b", Part(design_2, "all", design)) as block:
                phi, a = block.value("monomials"), block.size("a")
                with b.load(Q[i, block.coordinates("coords", "t")]) as q, b.tiles("f", a, f) as x:
                    rows = block.coordinates("rows", x)
                    if z:
                        with b.load(s[rows, :], "w") as w:
                            b.op("add_some_feature_products", z, q, w, monomials=phi, first=x, degree=degree)
                    with b.tiles("l", size, c) as l, b.load(S[rows, start + l.start : start + l.stop], "W") as W:
                        b.op("add_some_feature_products", y[:, l], q, W, monomials=phi, first=x, degree=degree)
            if not z:
                z = b.load(Z[i, :])
            b.op("divide_by_column", y, z)
            b.store(y, O[i, start : start + size])
            if ones and several_2:
                b.store(z, Z[i, :])
            b.free(y, z)


def stored_io(*, d_v: Size, W_1: Size) -> Size:
    """Room for W_1 sums in the first stage's blocks, each stored for each column and the ones. Units: words."""
    return W_1 * (d_v + 1)


def q_stationary_io(*, n: Size, d_v: Size, B_r: Size, NB: Size, T: Size, W_2: Size) -> Size:
    """The second stage: Q for each block; O and z stored for each block and loaded for each but the first, but z is never
    stored by the last; the W_2 sums of all blocks for each tile of queries. Units: words."""
    return n * (T + 2 * (NB - 1) * (d_v + 1) + d_v) + ceil_div(n, B_r) * W_2 * (d_v + 1)


def q_stationary_peak(*, t: Size, B_r: Size, degree: int, last: bool) -> Size:
    """t coordinates and one output of each query, in the last block the normaliser too; one sum and the prefix products.
    Units: words."""
    return B_r * (t + 1 + last) + 1 + prefixes(degree)


def o_stationary_io(*, n: Size, d_v: Size, NC: Size, B_r: Size, T: Size, W_2: Size, several: Size) -> Size:
    """The second stage: Q for each group of columns; O once; z stored and loaded by each group but the first, if there are
    several; the W_2 sums of all blocks for each tile of queries. Units: words."""
    return n * (NC * T + d_v + several + NC - 1) + ceil_div(n, B_r) * W_2 * (d_v + 1)


def o_stationary_peak(*, t: Size, e: Size, B_r: Size, degree: int) -> Size:
    """t coordinates and e outputs of each query; one sum and the prefix products. Units: words."""
    return B_r * (t + e) + 1 + prefixes(degree)


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
        NC = {"NC": columns(self.e, d_v)[0]} if self.e else {}
        return {**NC, **words, **({"B_r": self.B_r} if self.B_r else {})}

    def tiles(self, d_v: int) -> dict[str, int]:
        """For people."""
        e = {"e": columns(self.e, d_v)[1]} if self.e else {}
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
    for schedule, search in _SECOND.items():
        second = search(problem, options, capacity)
        if second is not None:
            plan = partial(_plan, name, schedule, problem, first, second)
            yield Offer(io_words=first.words + second.words, plan=plan)


def least_words_of_stages(problem: Problem, options: Options) -> int:
    """The fewest words in which two stages run: one column and one query at a time. Units: words."""
    g = problem.degree

    def of_first(found: Blocks) -> int:
        return max(whole(sums_peak(t=t, a=a, e=1, degree=g)) for t, a in found.kinds)

    def of_second(found: Blocks) -> int:
        each = max(whole(q_stationary_peak(t=t, B_r=1, degree=g, last=False)) for t, _ in found.kinds)
        needed = max(each, whole(q_stationary_peak(t=found.last[0], B_r=1, degree=g, last=True)))
        if g <= _O_STATIONARY:
            outputs = max(whole(o_stationary_peak(t=t, e=1, B_r=1, degree=g)) for t, _ in found.kinds)
            needed = min(needed, outputs)
        return needed

    in_order = [
        (design, blocks) for design, blocks in options if not isinstance(design, GroupProducts) or in_runs(design)
    ]
    return max(least(in_order, of_first), least(options, of_second))


def _first_stage(problem: Problem, options: Options, capacity: int) -> _Stage | None:
    _, n_k, d_v = _lengths(problem)
    g = problem.degree

    def fit(found: Blocks) -> int:
        return widest(found, d_v=d_v, degree=g, capacity=capacity, last=False)

    def cost(found: Blocks, e: int) -> int:
        NC, _ = columns(e, d_v)
        return whole(sums_io(n_k=n_k, d_v=d_v, NC=NC, NB=found.NB, T=found.T) + stored_io(d_v=d_v, W_1=found.slots))

    best = cheapest(options, fit, cost, allowed=in_runs)
    return _Stage(best[1], best[0], e=best[2]) if best else None


def _w_stationary(problem: Problem, options: Options, capacity: int) -> _Stage | None:
    n, _, d_v = _lengths(problem)
    g = problem.degree

    def fit(found: Blocks) -> int:
        return widest(found, d_v=d_v, degree=g, capacity=capacity, last=True)

    def cost(found: Blocks, e: int) -> int:
        NC, _ = columns(e, d_v)
        moved = products_io(n=n, d_v=d_v, NC=NC, NB=found.NB, T=found.T, several=int(NC > 1))
        return whole(moved + stored_io(d_v=d_v, W_1=found.slots))

    best = cheapest(options, fit, cost)
    return _Stage(best[1], best[0], e=best[2]) if best else None


def _q_stationary(problem: Problem, options: Options, capacity: int) -> _Stage | None:
    n, _, d_v = _lengths(problem)
    room = capacity - 1 - prefixes(problem.degree)

    def fit(found: Blocks) -> int:
        rows = min(room // (t + 1) for t, _ in found.kinds)
        return min(n, max(0, min(rows, room // (found.last[0] + 2))))

    def cost(found: Blocks, B_r: int) -> int:
        return whole(q_stationary_io(n=n, d_v=d_v, B_r=B_r, NB=found.NB, T=found.T, W_2=found.slots))

    best = cheapest(options, fit, cost)
    return _Stage(best[1], best[0], B_r=best[2]) if best else None


def _o_stationary(problem: Problem, options: Options, capacity: int) -> _Stage | None:
    """For a small degree: above, one of the other orders moves fewer words (3.78 nrd M^(-2/3) against 3 at degree 2),
    and to look for the best blocks takes long."""
    n, _, d_v = _lengths(problem)
    if problem.degree > _O_STATIONARY:
        return None
    room = capacity - 1 - prefixes(problem.degree)
    best: tuple[int, _Stage] | None = None
    for e in sorted({columns(e, d_v)[1] for e in range(1, d_v + 2)}):

        def fit(found: Blocks, e: int = e) -> int:
            return min(n, max(0, min(room // (t + e) for t, _ in found.kinds)))

        def cost(found: Blocks, B_r: int, e: int = e) -> int:
            NC, _ = columns(e, d_v)
            moved = o_stationary_io(n=n, d_v=d_v, NC=NC, B_r=B_r, T=found.T, W_2=found.slots, several=int(NC > 1))
            return whole(moved)

        found = cheapest(options, fit, cost)
        if found and (best is None or found[0] < best[0]):
            best = found[0], _Stage(found[1], found[0], e=e, B_r=found[2])
    return best[1] if best else None


_SECOND: Mapping[str, Callable[[Problem, Options, int], _Stage | None]] = {
    "w-stationary": _w_stationary,
    "q-stationary": _q_stationary,
    "o-stationary": _o_stationary,
}
_AUTHORS: Mapping[str, Callable[..., None]] = {
    "w-stationary": w_stationary,
    "q-stationary": q_stationary,
    "o-stationary": o_stationary,
}


def _second_io(schedule: str, *, n: Size, d_v: Size, several: Size, W_2: Size, letters: Mapping[str, Size]) -> Size:
    match schedule:
        case "w-stationary":
            moved = products_io(n=n, d_v=d_v, NC=letters["NC"], NB=letters["NB"], T=letters["T"], several=several)
            return moved + stored_io(d_v=d_v, W_1=W_2)
        case "q-stationary":
            return q_stationary_io(n=n, d_v=d_v, B_r=letters["B_r"], NB=letters["NB"], T=letters["T"], W_2=W_2)
        case _:
            return o_stationary_io(
                n=n, d_v=d_v, NC=letters["NC"], B_r=letters["B_r"], T=letters["T"], W_2=W_2, several=several
            )


def _second_peak(schedule: str, stage: _Stage, d_v: int, degree: int) -> int:
    e = columns(stage.e, d_v)[1] if stage.e else 0
    found: list[Size] = []
    for t, a, last in stage.kinds:
        match schedule:
            case "w-stationary":
                found.append(products_peak(t=t, a=a, e=e, degree=degree, last=last))
            case "q-stationary":
                found.append(q_stationary_peak(t=t, B_r=stage.B_r, degree=degree, last=last))
            case _:
                found.append(o_stationary_peak(t=t, e=e, B_r=stage.B_r, degree=degree))
    return max(map(whole, found))


def _lengths(problem: Problem) -> tuple[int, int, int]:
    """Rows of Q, keys and columns of V."""
    return problem.n * problem.group, problem.n_k, problem.d_v


def _plan(name: str, schedule: str, problem: Problem, first: _Stage, second: _Stage) -> Plan:
    n, n_k, d_v = _lengths(problem)
    g, letters = problem.degree, problem.letters
    W_1, W_2 = slots(first.design), slots(second.design)
    mine, other = first.values(d_v), second.values(d_v)
    several = int(other.get("NC", 1) > 1)

    def io(
        n: Size, n_k: Size, d_v: Size, W_1: Size, W_2: Size, mine: Mapping[str, Size], other: Mapping[str, Size]
    ) -> Size:
        first_stage = sums_io(n_k=n_k, d_v=d_v, NC=mine["NC"], NB=mine["NB"], T=mine["T"]) + stored_io(d_v=d_v, W_1=W_1)
        return first_stage + _second_io(schedule, n=n, d_v=d_v, several=several, W_2=W_2, letters=other)

    w_1, w_2 = symbols("W_1", "W_2")
    symbolic = {name: symbols(name)[0] for name in mine}
    others = {name: symbols(name if name == "B_r" else f"{name}_2")[0] for name in other}
    streams = {"N": 1, "c": 1} | ({"f": 1} if second.B_r else {})
    rows = {"B_r": second.B_r} if second.B_r else {}
    most = max(a for stage in (first, second) for _, a, _ in stage.kinds)
    executed = {**problem.sizes, "N": rows_executed(most, n), "c": d_v} | ({"f": most} if second.B_r else {})
    grouped = {"e_2": columns(second.e, d_v)[1], "several_2": bool(several)} if second.e else {}
    peak_1 = max(whole(sums_peak(t=t, a=a, e=columns(first.e, d_v)[1], degree=g)) for t, a, _ in first.kinds)
    return Plan(
        algorithm=name,
        schedule=schedule,
        program=built(
            _AUTHORS[schedule],
            name=f"{name} ({schedule})",
            **{"n": letters["n"], "n_k": letters["n_k"], "d": problem.d, "d_v": d_v},
            e=columns(first.e, d_v)[1],
            design=first.design,
            design_2=second.design,
            several=mine["NC"] > 1,
            coefficients=problem.weights,
            **{stream: stream for stream in streams},
            **({"B_r": "B_r"} if rows else {}),
            **grouped,
        ),
        sizes={**problem.sizes, **streams, **rows},
        tiles={
            "r": whole(binomial(problem.d + g, g)),
            **first.tiles(d_v),
            **{(x if x == "B_r" else f"{x}_2"): value for x, value in second.tiles(d_v).items()},
            "W_1": W_1,
            "W_2": W_2,
        },
        executed={**executed, **({"B_r": min(n, max(second.B_r, _ROWS_EXECUTED))} if rows else {})},
        closed_form=io(letters["n"], letters["n_k"], letters["d_v"], w_1, w_2, symbolic, others),
        closed_form_words=whole(io(n, n_k, d_v, W_1, W_2, mine, other)),
        claimed_peak_words=max(peak_1, _second_peak(schedule, second, d_v, g)),
        regime="M holds a e + t + max(g, 1) words for every block of the first stage, and "
        + {
            "w-stationary": "of the second, and one more for the last",
            "q-stationary": "B_r (t_2 + 1) + max(g, 1) for every block of the second, and B_r more for the last",
            "o-stationary": "B_r (t_2 + e_2) + max(g, 1) for every block of the second",
        }[schedule],
    )


def stage_forms(name: str) -> Iterator[Form]:
    """The schedules in symbols, with pairs of four groups as an example."""
    n, n_k, d_v, e, NC, NB, T, t, a, W_1 = symbols("n", "n_k", "d_v", "e", "NC", "NB", "T", "t", "a", "W_1")
    e_2, NC_2, NB_2, T_2, t_2, a_2, W_2, B_r, several = symbols(
        "e_2", "NC_2", "NB_2", "T_2", "t_2", "a_2", "W_2", "B_r", "several"
    )
    letters = {"NC": NC_2, "NB": NB_2, "T": T_2, "B_r": B_r}
    example = GroupProducts(8, 2, 4)
    peaks = {
        "w-stationary": products_peak(t=t_2, a=a_2, e=e_2, degree=2, last=True),
        "q-stationary": q_stationary_peak(t=t_2, B_r=B_r, degree=2, last=True),
        "o-stationary": o_stationary_peak(t=t_2, e=e_2, B_r=B_r, degree=2),
    }
    for schedule, author in _AUTHORS.items():
        rows = {} if schedule == "w-stationary" else {"B_r": "B_r", "f": 1}
        grouped = {} if schedule == "q-stationary" else {"e_2": "e_2", "several_2": True}
        yield Form(
            schedule=schedule,
            program=built(
                author,
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
            + _second_io(schedule, n=n, d_v=d_v, several=several, W_2=W_2, letters=letters),
            peak=maximum(sums_peak(t=t, a=a, e=e, degree=2), peaks[schedule]),
            regime="degree 2; NB blocks with T coordinates and W_1 sums in all, NC = ceil((d_v+1)/e) column groups; in the "
            "second stage NB_2, T_2, W_2, NC_2; several = 1 if NC_2 > 1",
        )
