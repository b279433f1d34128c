"""The pass schedule of polynomial attention: as few passes over all rows as the sums fill, columns of V being cut where one
pass is full, and the next goes on.

A pass holds all features of some columns, and some features of the columns at its two ends; each row of K and Q moves once
for it, and a column that is cut once more. What is left after the last full pass may be too little for another one: then the
features in t coordinates, for e columns of V, are summed in a small pass of their own, before the others, which leave them
out. With one pass beside it that is the leftover schedule.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby, pairwise
from typing import Any

from algorithms.designs.monomials import Monomials, all_monomials, other_monomials, run_of
from algorithms.polynomial.feature_sums import Add, Chunk, FeatureSums
from algorithms.polynomial.sizes import coarse, copied, length_symbols, lengths, prefixes, resident_peak
from algorithms.shared.attention import whole
from iosim import CAUSAL, FULL, Builder, Form, Mask, Plan, Problem, Size, maximum, monomial_count, symbols
from iosim.builder import ArrayHandle, Extent, Index, TileHandle
from iosim.plan import Offer, built
from iosim.problem import ANY_LETTERS
from iosim.program import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripe:
    """Columns start, ..., stop - 1 of V, and the features that a pass holds sums of for them.

    Attributes:
        first: whether no pass before has features for these columns.
        last: whether no pass after it has.
    """

    start: Size
    stop: Size
    monomials: Monomials
    first: bool
    last: bool


def passes(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    mask: Mask,
    g: Size,
    B: Size,
    N: Size,
    c: Size,
    t: Size,
    small: Stripe | None,
    held: tuple[tuple[Stripe, ...], ...],
    degree: int,
    coefficients: tuple[float, ...] | None,
) -> None:
    """First the small pass, over t coordinates (for t = 0 the constant), then one over all coordinates for each of `held`.

    The first of these also sums the features themselves, for the normaliser z; if there are several, it stores z.
    """
    sums = FeatureSums(b=b, n=n, n_k=n_k, mask=mask, g=g, B=B, N=N, c=c, degree=degree, coefficients=coefficients)
    Q, K, V, O = sums.arrays(d=d, d_v=d_v)
    Z = b.scratch("Z", (n * g, 1)) if len(held) > 1 else None
    if small is not None:
        _pass(sums, Q, K, V, O, None, t, (small,), None)
    for number, stripes in enumerate(held):
        _pass(sums, Q, K, V, O, Z, d, stripes, None if number else all_monomials(d, degree, d, least=1))


def _pass(
    sums: FeatureSums,
    Q: ArrayHandle,
    K: ArrayHandle,
    V: ArrayHandle,
    O: ArrayHandle,
    Z: ArrayHandle | None,
    t: Size,
    stripes: tuple[Stripe, ...],
    ones: Monomials | None,
) -> None:
    """One pass over the first t coordinates of K and Q; with `ones`, the features summed for the normaliser, these too."""
    b, begin = sums.b, stripes[0].start
    held = [(b.zeros("W", stripe.monomials.slots, stripe.stop - stripe.start), stripe) for stripe in stripes]
    w = b.zeros("w", ones.slots, 1) if ones else None

    def add_key(k: TileHandle) -> None:
        if w:
            sums.add_sums(w, k, ones)

    def weigh() -> None:
        for W, monomials in [(W, stripe.monomials) for W, stripe in held] + ([(w, ones)] if w and ones else []):
            b.op("weigh_features", W, monomials=monomials, coefficients=sums.coefficients)

    def add(W: TileHandle, stripe: Stripe) -> tuple[Size, Size, Add]:
        first, stop = stripe.start - begin, stripe.stop - begin

        def put(k: TileHandle, v: TileHandle | View, l: Index) -> None:
            sums.add_products(W[:, l.start - first : l.stop - first], k, v, stripe.monomials)

        return first, stop, put

    def use(i: Index, keys: Extent, chunk: Chunk | None) -> None:
        with b.load(Q[i, :t]) as q, ExitStack() as inside:
            z = None
            if w and ones:
                z = inside.enter_context(b.zeros("z", i, 1))
                sums.use_counts(z, i, keys, chunk)
                sums.use_sums(z, q, w, ones, ones.slots, i, chunk)
                if Z:
                    b.store(z, Z[i, :])
            elif Z:
                z = inside.enter_context(b.load(Z[i, :]))
            for W, stripe in held:
                first, stop = stripe.start - begin, stripe.stop - begin
                with b.tiles("l", stop, sums.c, start=first) as l:
                    region = O[i, begin + l.start : begin + l.stop]
                    with b.zeros("y", i, l) if stripe.first else b.load(region, "y") as y:
                        own = W[:, l.start - first : l.stop - first]
                        sums.use_products(y, q, own, stripe.monomials, stripe.monomials.slots, i, l, chunk)
                        if z and stripe.last:
                            b.op("divide_by_column", y, z)
                        b.store(y, region)

    sums.run(
        lambda j: K[j, :t],
        lambda j, l: V[j, begin + l.start : begin + l.stop],
        add_key=add_key,
        add=[add(W, stripe) for W, stripe in held],
        weigh=weigh,
        use=use,
    )
    b.free(*(W for W, _ in held), *([w] if w else []))


def passes_io(
    *, n: Size, n_k: Size, d: Size, d_v: Size, t: Size, e: Size, NC: Size = 1, x: Size = 0, several: Size = 0
) -> Size:
    """All coordinates of K and Q for each of NC passes, and t for the small one; V and O once, and once more for each of the
    e columns of the small pass and the x that are cut, of which O is also loaded again; z stored by the first pass and
    loaded by the others, if there are several. Units: words."""
    return (n + n_k) * (NC * d + t) + n_k * (d_v + e + x) + n * (d_v + 2 * (e + x) + several * NC)


def small_peak(*, t: Size, e: Size, degree: int, copy: int = 0) -> Size:
    """The small pass: its sums, q, one output and the prefix products, or a copy of an output. Units: words."""
    return monomial_count(t, degree) * e + t + 1 + prefixes(degree) + copy


def pass_peak(sums: Size, *, d: Size, degree: int, outputs: int = 1) -> Size:
    """A pass over all coordinates: its sums, q, the normaliser, one output, if it has any columns, and the prefix products.
    Units: words."""
    return sums + d + 1 + outputs + prefixes(degree)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Which passes there are.

    Attributes:
        words: that move.
        t, e: the coordinates and columns of the small pass; e = 0 if there is none.
        ends: how many sums are held by the passes over all coordinates up to each of them, that one included: first those
            of the features themselves, then those for each column of V.
        x: columns that are cut.
    """

    words: int
    t: int
    e: int
    ends: tuple[int, ...]
    x: int


def least_cut(problem: Problem, capacity: int, NC: int, below: int | None = None) -> Cut | None:
    """The cut into NC passes over all coordinates and, if they are too few, a small one that moves the fewest words, of
    all t with the fewest columns that do; None if nothing fits, or moves fewer words than `below`."""
    d, degree, d_v, r = problem.d, problem.degree, problem.d_v, problem.features
    room = capacity - whole(pass_peak(0, d=d, degree=degree))
    if room < r and NC > 1:  # a column would be in more than two passes
        return None
    if below is not None and _words(problem, t=0, e=0, NC=NC) >= below:
        return None
    missing = r * (d_v + 1) - 1 - NC * room
    found = []
    for t in range(d + 1) if missing > 0 else [0]:
        small = monomial_count(t, degree)
        e = max(0, -(-missing // small))
        if e <= d_v and (not e or whole(small_peak(t=t, e=e, degree=degree, copy=copied(problem))) <= capacity):
            found.append((_words(problem, t=t, e=e, NC=NC), t, e))
    best: Cut | None = None
    each = _words(problem, t=0, e=0, NC=1, x=1) - _words(problem, t=0, e=0, NC=1)
    for uncut, t, e in sorted(found):
        if below is not None and uncut >= below:
            break
        fewer = NC if below is None else min(NC, -(-(below - uncut) // each))
        ends = _ends(_held(problem, t, e), NC, room, fewer)
        if ends:
            x, below = ends[0], uncut + ends[0] * each
            best = Cut(words=below, t=t, e=e, ends=ends[1], x=x)
    return best


def _words(problem: Problem, *, t: int, e: int, NC: int, x: int = 0) -> int:
    return whole(passes_io(**lengths(problem), d=problem.d, t=t, e=e, NC=NC, x=x, several=int(NC > 1)))


def _held(problem: Problem, t: int, e: int) -> list[int]:
    """How many sums there are besides those of the small pass, up to those for each column."""
    r, small = problem.features, monomial_count(t, problem.degree)
    return list(accumulate([r - 1, *[r - small] * e, *[r] * (problem.d_v - e)]))


def _ends(columns: list[int], NC: int, room: int, below: int) -> tuple[int, tuple[int, ...]] | None:
    """(columns that are cut, where each pass ends) for NC passes that each hold at most `room` sums, with the fewest cuts;
    None if that is no less than `below`.

    Of all ways to come to the end of some pass with equally many cuts, only the one that has come farthest matters.
    """
    farthest: list[tuple[int, ...]] = [(0,)]  # by the number of cuts
    for _ in range(NC):
        reached: list[tuple[int, ...]] = []
        for before, ends in enumerate(farthest):
            full = min(ends[-1] + room, columns[-1])
            uncut = columns[bisect_right(columns, full) - 1]
            if before == len(reached) or reached[before][-1] < uncut:
                reached[before:] = [(*ends, uncut)]
            if before + 1 < below:
                reached.append((*ends, full))
        farthest = reached
    return next(((x, ends[1:]) for x, ends in enumerate(farthest) if ends[-1] == columns[-1]), None)


def _stripes(problem: Problem, t: int, e: int, ends: tuple[int, ...]) -> Iterator[tuple[Stripe, ...]]:
    """What each pass holds."""
    d, degree = problem.d, problem.degree
    everything = all_monomials(d, degree, d)
    rest = other_monomials(d, t, degree, d) if e else everything
    columns = _held(problem, t, e)

    def stripes(begin: int, end: int) -> Iterator[Stripe]:
        def of(column: int) -> tuple[bool, int, int]:
            before, after = columns[column], columns[column + 1]
            return column < e, max(begin, before) - before, min(end, after) - before

        # a column all of whose sums are in the small pass comes first, and meets the normaliser in the first pass
        inside = [
            l
            for l, (before, after) in enumerate(pairwise(columns))
            if max(begin, before) < min(end, after) or (before == after and not begin)
        ]
        for (left, start, stop), group in groupby(inside, key=of):
            numbers, phi = list(group), rest if left else everything
            last = stop == phi.slots
            yield Stripe(
                start=numbers[0],
                stop=numbers[-1] + 1,
                monomials=phi if last and not start else run_of(phi, start, stop),
                first=not start and not left,
                last=last,
            )

    none = Stripe(start=0, stop=0, monomials=everything, first=True, last=True)  # beside the features themselves
    return (tuple(stripes(*pair)) or (none,) for pair in pairwise((0, *ends)))


def least_words_of_leftover(problem: Problem) -> int:
    """The fewest words in which the leftover schedule runs: about half of the sums in each pass. Units: words."""
    d, degree, most, copy = problem.d, problem.degree, problem.d_v, copied(problem)
    least = everything = whole(resident_peak(d=d, d_v=most, degree=degree))
    for t in range(d + 1):
        small = monomial_count(t, degree)
        half = (everything - t - 1 - prefixes(degree) - copy) // (2 * small)
        for e in (min(max(e, 1), most) for e in (half, half + 1)):
            peak = whole(small_peak(t=t, e=e, degree=degree, copy=copy))
            least = min(least, max(peak, everything - small * e))
    return least


def passes_offers(name: str, problem: Problem, capacity: int, below: int | None) -> Iterator[Offer]:
    """The leftover schedule, and the best one of more passes, if it moves fewer words than `below`."""
    one = least_cut(problem, capacity, 1)
    if one:
        yield Offer(io_words=one.words, plan=partial(cut_plan, name, problem, one))
    best, r = None, problem.features
    room = capacity - whole(pass_peak(0, d=problem.d, degree=problem.degree))
    most = -(-(r * (problem.d_v + 1) - 1) // max(1, room))
    for NC in range(max(2, most - 2), most + 1):
        best = least_cut(problem, capacity, NC, best.words if best else below) or best
    if best:
        yield Offer(io_words=best.words, plan=partial(cut_plan, name, problem, best))


def cut_plan(name: str, problem: Problem, cut: Cut) -> Plan:
    """The plan with these passes."""
    d, degree, letters = problem.d, problem.degree, problem.letters
    r, several = problem.features, len(cut.ends) > 1
    schedule = "passes" if several else "leftover"
    executed = coarse(problem, r)
    values = {"t": cut.t, "e": cut.e, **({"NC": len(cut.ends), "x": cut.x} if several else {})}
    symbolic = {**length_symbols(problem), "d": letters["d"], **dict(zip(values, symbols(*values), strict=True))}
    held = tuple(_stripes(problem, cut.t, cut.e, cut.ends))
    peaks = [
        pass_peak(end - begin, d=d, degree=degree, outputs=int(stripes[-1].stop != 0))
        for (begin, end), stripes in zip(pairwise((0, *cut.ends)), held, strict=True)
    ]
    if cut.e:
        peaks.append(small_peak(t=cut.t, e=cut.e, degree=degree, copy=copied(problem)))
    return Plan(
        algorithm=name,
        schedule=schedule,
        program=built(
            passes,
            name=f"{name} ({schedule})",
            **{**letters, "d": d, "d_v": problem.d_v, "B": 1, **{name: name for name in executed}},
            t=cut.t,
            small=_small(d, cut.t, cut.e, degree) if cut.e else None,
            held=held,
            degree=degree,
            coefficients=problem.coefficients,
        ),
        sizes={**problem.sizes, **dict.fromkeys(executed, 1)},
        tiles={"r": r, **values},
        executed={**problem.sizes, **executed},
        closed_form=passes_io(**symbolic, several=int(several)),
        claimed_peak_words=max(map(whole, peaks)),
        regime=_REGIME[several] + (", one word more under a mask if g = 1" if copied(problem) and cut.e else ""),
    )


_REGIME = {
    False: "r(d_v+1) + d + g' - C(t+g, g) e <= M, C(t+g, g) e + t + g' <= M; r = C(d+g, g), g' = max(g, 1)",
    True: "r(d_v+1) - 1 - C(t+g, g) e <= NC (M - d - 1 - g'), C(t+g, g) e + t + g' <= M; r = C(d+g, g) <= M - d - 1 - g', "
    "g' = max(g, 1); x columns are cut, less than NC",
}


def _small(d: Size, t: Size, e: Size, degree: int) -> Stripe:
    """What the small pass holds."""
    return Stripe(start=0, stop=e, monomials=all_monomials(t, degree, d), first=True, last=False)


def passes_forms(name: str) -> Iterator[Form]:
    """The schedules in symbols; of more than one pass, two, the first of which ends with y features of column s."""
    n, n_k, d, d_v, t, e, s, y = symbols("n", "n_k", "d", "d_v", "t", "e", "s", "y")
    everything, rest = all_monomials(d, 2, d), other_monomials(d, t, 2, d)
    r, small = everything.slots, monomial_count(t, 2)
    left = Stripe(start=0, stop=e, monomials=rest, first=False, last=True)
    head = Stripe(start=s, stop=s + 1, monomials=run_of(everything, 0, y), first=True, last=False)
    tail = Stripe(start=s, stop=s + 1, monomials=run_of(everything, y, r), first=False, last=True)

    def full(start: Size, stop: Size) -> Stripe:
        return Stripe(start=start, stop=stop, monomials=everything, first=True, last=True)

    two = (left, full(e, s), head), (tail, full(s + 1, d_v))
    ends = [r * (s + 1) - 1 - small * e + y, r * (d_v - s) - y]
    kinds = {
        "leftover": ({"t": t, "e": e}, ((left, full(e, d_v)),), [r * (d_v + 1) - 1 - small * e], {}),
        "passes": ({"t": t, "e": e, "s": s, "y": y}, two, ends, {"NC": 2, "x": 1, "several": 1}),
    }
    for kind, (sizes, held, sums, chosen) in kinds.items():
        for schedule, mask, keys in ((kind, FULL, n_k), (f"{kind} causal", CAUSAL, n)):
            letters = {**ANY_LETTERS, "B": 1, "N": 1, "c": 1, "mask": mask, "n_k": keys}
            yield Form(
                schedule=schedule,
                program=built(
                    partial(_in_symbols, held),
                    name=f"{name} ({schedule})",
                    **letters,
                    **sizes,
                    coefficients=None,
                ),
                io=passes_io(n=n, n_k=keys, d=d, d_v=d_v, t=t, e=e, **chosen),
                peak=maximum(
                    small_peak(t=t, e=e, degree=2), *(pass_peak(held_sums, d=d, degree=2) for held_sums in sums)
                ),
                regime="degree 2, M below the resident schedule's"
                + ("; the first of NC = 2 passes ends with the first y features of column s" if chosen else ""),
            )


def _in_symbols(held: tuple[tuple[Stripe, ...], ...], b: Builder, *, d: Size, e: Size, t: Size, **others: Any) -> None:
    """The program of degree 2 whose passes are in symbols, which are its sizes."""
    for name in ("s", "y"):
        others.pop(name, None)
    passes(b, d=d, t=t, small=_small(d, t, e, 2), held=held, degree=2, **others)
