"""Block-sparse attention in FlashAttention-2's order: for a tile of queries, the blocks of keys that some of them meet.

A tile of B_r queries stays in fast memory; the keys that at least one of them meets, and their values, are loaded once, in
rising order, word by word. Which keys these are is known when the program is built: a table lists them, tile by tile, and
moves nothing. A tile may hold parts of several blocks of queries; where one of them does not meet what another does, the
scores are hidden.

Longer tiles share keys only where their blocks of queries meet the same ones, and a tile that ends within a block of
queries loads its keys again for the next: so the traffic does not fall steadily with B_r, and the tile rule counts every
height that fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import inf

import numpy as np

from algorithms.shared.attention import arrays, whole
from iosim import Algorithm, Builder, Form, Plan, Problem, Size, build, symbols
from iosim.algorithm import assignments
from iosim.block_masks import BlockMask, PatternMask, RowTiles
from iosim.errors import UsageError
from iosim.program import Program
from iosim.tiled import SCORES_EXECUTED


def words(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    g: Size,
    mask: BlockMask,
    tiles: RowTiles,
    B_c: Size,
    e: Size,
    e_v: Size,
) -> None:
    """The keys of a tile are streamed in pieces of B_c rows and e or e_v columns (one word: B_c = e = e_v = 1).

    `tiles` cuts the queries; each position has g rows, the queries of the heads that share the keys.
    """
    # a list of coordinates counts as the whole axis: see iosim.interpret.legality
    Q, K, V, O = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v, g=g)
    with b.table("i", tiles) as i:
        start, size = i.size("start"), i.size("size")
        rows = slice(start * g, (start + size) * g)
        q = b.load(Q[rows, :])
        o, m, l = b.zeros("o", size * g, d_v), b.full("m", size * g, fill=-inf), b.zeros("l", size * g)
        with b.tiles("j", i.size("met"), B_c) as j:
            keys = i.coordinates("keys", j)
            s = b.zeros("s", size * g, j)
            with b.tiles("c", d, e) as c, b.load(K[keys, c]) as k:
                b.op("add_abt", s, q[:, c], k)
            b.op("divide_by_sqrt", s, of=d)
            b.op(
                "hide_listed_scores",
                s,
                mask=mask,
                row=start,
                keys=i.value("keys"),
                position=j.start,
                n=n,
                n_k=n_k,
                group=g,
            )
            b.op("online_softmax", s, m, l, o)
            with b.tiles("c", d_v, e_v) as c, b.load(V[keys, c]) as v:
                b.op("add_ab", o[:, c], s, v)
            b.free(s)
        b.op("divide_rows", o, l)
        b.store(o, O[rows, :])
        b.free(q, o, m, l)


def io(*, n: Size, d: Size, d_v: Size, g: Size, met: Size) -> Size:
    """Q and O once; for each row tile the keys that it meets, `met` in all, and their values. Units: words."""
    return (n * g + met) * (d + d_v)


def peak(*, d: Size, d_v: Size, g: Size, B_r: Size) -> Size:
    """q, o, m, l, a column of scores; a word of k or v, or the new maximum. Units: words."""
    return B_r * g * (d + d_v + 3) + 1


class BlockSparse(Algorithm):
    """The algorithm of this file."""

    def unsupported(self, problem: Problem) -> str | None:
        return None if isinstance(problem.mask, BlockMask) else "a mask of blocks"

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        if self.unsupported(problem) is not None:
            return
        # the peak is B_r times the words of a position, and one
        most = (capacity - 1) // (self.least_capacity(problem) - 1)
        if most >= 1:
            mask = _blocks_of(problem)
            yield self._plan(problem, _best_height(mask, problem.n, problem.n_k, min(most, problem.n)))

    def least_capacity(self, problem: Problem) -> int:
        return whole(peak(d=problem.d, d_v=problem.d_v, g=problem.group, B_r=1))

    def explicit(self, problem: Problem, tiles: Mapping[str, int]) -> Plan:
        if set(tiles) != {"B_r"}:
            raise UsageError(f"--tiles: {self.name} needs B_r; got {assignments(tiles)}")
        if not 1 <= tiles["B_r"] <= problem.n:
            raise UsageError(f"--tiles: B_r={tiles['B_r']}; allowed: 1 to n={problem.n:,}")
        return self._plan(problem, tiles["B_r"])

    def forms(self) -> tuple[Form, ...]:
        n, d, d_v, B_r, met = symbols("n", "d", "d_v", "B_r", "met")
        problem = Problem(n=256, d=64, mask=PatternMask(64, "local", (1,)))
        program = _program(problem, 64, n="n", n_k="n_k", d="d", d_v="d_v", g=1)
        return (
            Form(
                schedule="words",
                program=program,
                io=io(n=n, d=d, d_v=d_v, g=1, met=met),
                peak=peak(d=d, d_v=d_v, g=1, B_r=B_r),
                regime="a mask of blocks; met keys are met by the row tiles of B_r positions, added up; the program is that "
                f"for n = n_k = 256, B_r = 64 and {problem.mask}",
            ),
        )

    def _plan(self, problem: Problem, B_r: int) -> Plan:
        letters, g = problem.letters, problem.group
        met = _blocks_of(problem).met(problem.n, problem.n_k, B_r)
        names = {name: name for name in problem.sizes}
        program = _program(
            problem,
            B_r,
            n="n",
            n_k=names.get("n_k", "n"),
            d="d",
            d_v=names.get("d_v", "d"),
            g=names.get("g", 1),
        )
        symbolic = {name: letters[name] for name in ("n", "d", "d_v", "g")}
        sizes = {**problem.sizes, "B_c": 1, "e": 1, "e_v": 1}
        piece = max(1, min(problem.n_k, SCORES_EXECUTED // (B_r * g)))
        return Plan(
            algorithm=self.name,
            schedule="words",
            program=program,
            sizes=sizes,
            tiles={"B_r": B_r},
            executed={**sizes, "B_c": piece, "e": problem.d, "e_v": problem.d_v},
            closed_form=io(**symbolic, met=met),
            claimed_peak_words=whole(peak(d=problem.d, d_v=problem.d_v, g=g, B_r=B_r)),
            regime=f"this mask, whose row tiles meet {met:,} keys, added up",
        )


def _program(problem: Problem, B_r: int, **sizes: str | int) -> Program:
    mask = _blocks_of(problem)
    tiles = RowTiles(mask, problem.n, problem.n_k, B_r)
    name = "block-sparse (words)"
    return build(words, name=name, **sizes, mask=mask, tiles=tiles, B_c="B_c", e="e", e_v="e_v")


def _blocks_of(problem: Problem) -> BlockMask:
    assert isinstance(problem.mask, BlockMask)
    return problem.mask


@lru_cache(maxsize=8)
def _met_by_height(mask: BlockMask, n: int, n_k: int, most: int) -> tuple[int, ...]:
    """The keys that the row tiles of each height 1, ..., most meet, added up. Units: keys."""
    return tuple(mask.met(n, n_k, B) for B in range(1, most + 1))


def _best_height(mask: BlockMask, n: int, n_k: int, most: int) -> int:
    """The least of the heights whose row tiles meet the fewest keys."""
    return int(np.argmin(_met_by_height(mask, n, n_k, most))) + 1


block_sparse = BlockSparse(
    name="block-sparse",
    summary="FlashAttention-2 order over the blocks that a mask touches",
    source="Dao et al., FlashAttention, NeurIPS 2022, Algorithm 5 (block-sparse); heights by exact counting",
)
