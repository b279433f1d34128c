"""Attention programs for the word-level tests: the registered schedules, and some that are not registered."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from algorithms.flash1 import flash1
from algorithms.flash2 import flash2
from algorithms.fused import fused
from algorithms.recompute import recompute
from algorithms.standard import standard
from algorithms.two_pass import two_pass
from iosim import CAUSAL, Builder, Mask, Problem, Size, build
from iosim.program import Program

# name -> (program, names of its sizes)
SCHEDULES = {
    f"{algorithm.name} {schedule.name}": (algorithm.program(schedule), tuple(algorithm.program(schedule).sizes))
    for algorithm in (flash2, flash1, standard, two_pass, fused, recompute)
    for schedule in algorithm.schedules
}


def sizes_of(name: str, n: int, d: int, rows: int, columns: int) -> dict[str, int]:
    """Sizes for a registered schedule: tiles of `rows` rows and pieces of `columns` columns, no longer than their axis."""
    _, names = SCHEDULES[name]
    tall, wide, deep = min(n, rows), min(n, columns), min(d, columns)
    tiles = {
        "B_r": tall,
        "B_q": tall,
        "B_o": tall,
        "B_c": wide,
        "C": wide,
        "B_d": deep,
        "e": deep,
        "e_v": deep,
        "f": tall,
        "h": 1,
    }
    return {size: {"n": n, "n_k": n, "d": d, "d_v": d, **tiles}[size] for size in names}


def _causal(b: Builder, *, n: Size, d: Size, B_r: Size, B_c: Size) -> None:
    """All tiles are computed, and then masked."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs="O[i,l] <- Q[i,:]")
    with b.tiles("i", n, B_r) as i, b.load(Q[i, :]) as q:
        o, m, l = b.zeros("o", i, d), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("j", n, B_c) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v, b.zeros("s", i, j) as s:
            b.op("add_abt", s, q, k)
            CAUSAL.hide(b, s, i, j, shift=0)
            b.op("online_softmax", s, m, l, o)
            b.op("add_ab", o, s, v)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(o, m, l)


def _rectangular(b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, B_r: Size) -> None:
    """FlashAttention-2's order with other numbers of keys and of value columns."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n_k, d)), b.input("V", (n_k, d_v))
    O = b.output("O", (n, d_v), needs="O[i,l] <- Q[i,:], K[:,:], V[:,l]")
    with b.tiles("i", n, B_r) as i, b.load(Q[i, :]) as q:
        o, m, l = b.zeros("o", i, d_v), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("j", n_k, 1) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
            b.op("attend", o, m, l, q, k, v, of=d)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(o, m, l)


def _tied(b: Builder, *, n: Size, d: Size, d_v: Size, B_r: Size) -> None:
    """The values are the first columns of the keys: one row serves both products."""
    Q, K = b.input("Q", (n, d)), b.input("K", (n, d))
    O = b.output("O", (n, d_v), needs="O[i,l] <- Q[i,:], K[:,:]")
    with b.tiles("i", n, B_r) as i, b.load(Q[i, :]) as q:
        o, m, l = b.zeros("o", i, d_v), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("j", n, 1) as j, b.load(K[j, :]) as k:
            b.op("attend", o, m, l, q, k, k[:, :d_v], of=d)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(o, m, l)


def _turned(b: Builder, *, n: Size, d: Size, B: Size) -> None:
    """V and O are (column, row), and scores wait in slow memory: O^T = V^T P^T."""
    Q, K, VT = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("VT", (d, n))
    OT, S = b.output("OT", (d, n), needs="OT[l,i] <- Q[i,:], K[:,:], VT[l,:]"), b.scratch("S", (n, n))
    with b.tiles("i", n, B) as i, b.tiles("j", n, B) as j, b.zeros("s", i, j) as s:
        with b.load(Q[i, :]) as q, b.load(K[j, :]) as k:
            b.op("add_abt", s, q, k)
        b.store(s, S[i, j])
    with b.tiles("i", n, B) as i, b.load(S[i, :]) as s, b.zeros("o", d, i) as o:
        with b.full("m", i, fill=-inf) as m, b.zeros("l", i) as l:
            b.op("row_statistics", m, l, s)
            b.op("softmax", s, m, l)
        with b.load(VT[:, :]) as v:
            b.op("add_abt", o, v, s)
        b.store(o, OT[:, i])


def _score_tiles(b: Builder, *, n: Size, d: Size, B_r: Size, B_c: Size) -> None:
    """Fused, for a small fast memory: a tile of scores stays, the columns of Q, K, V and O pass by."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs="O[i,l] <- Q[i,:], K[:,:], V[:,l]")
    M, L = b.scratch("M", (n,)), b.scratch("L", (n,))
    for first in (True, False):
        with b.tiles("j", B_c if first else n, B_c, start=0 if first else B_c) as j, b.tiles("i", n, B_r) as i:
            with b.zeros("s", i, j) as s, b.empty("a", i) as a:
                with b.tiles("c", d, 1) as c, b.load(Q[i, c]) as q, b.load(K[j, c]) as k:
                    b.op("add_abt", s, q, k)
                m = b.full("m", i, fill=-inf) if first else b.load(M[i])
                l = b.zeros("l", i) if first else b.load(L[i])
                b.op("rescaling_softmax", s, m, l, a)
                b.store(m, M[i])
                b.store(l, L[i])
                b.free(m, l)
                with b.tiles("c", d, 1) as c, b.load(V[j, c]) as v:
                    o = b.zeros("o", i, c) if first else b.load(O[i, c])
                    b.op("scale_rows", o, a)
                    b.op("add_ab", o, s, v)
                    b.store(o, O[i, c])
                    b.free(o)


def masked() -> Iterator[tuple[Program, dict[str, int]]]:
    """FlashAttention-2's order with masks, keys of earlier queries, and heads that share keys, and its sizes."""
    words = flash2.schedules[0]
    for mask in (CAUSAL, Mask(back=2, ahead=0), Mask(back=1, ahead=1)):
        for group, d, rows in ((1, 1, 2), (1, 2, 3), (2, 2, 2), (3, 1, 1)):
            problem = Problem(n=6, n_k=8, d=d, group=group, mask=mask)
            yield flash2.program(words, problem), {**problem.sizes, **dict.fromkeys(words.streams, 1), "B_r": rows}


causal_flash = build(_causal, name="causal", n="n", d="d", B_r="B_r", B_c="B_c")
rectangular_flash = build(_rectangular, name="rectangular", n="n", n_k="n_k", d="d", d_v="d_v", B_r="B_r")
tied_flash = build(_tied, name="tied", n="n", d="d", d_v="d_v", B_r="B_r")
turned_attention = build(_turned, name="turned", n="n", d="d", B="B")
score_tiles = build(_score_tiles, name="score tiles", n="n", d="d", B_r="B_r", B_c="B_c")
