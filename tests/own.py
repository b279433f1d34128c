"""A user's own algorithm file, and the same with mistakes."""

from __future__ import annotations

from pathlib import Path

MINE = '''\
"""FlashAttention-2's order with blocks of K and V."""

from __future__ import annotations

from math import inf

from iosim import Builder, Schedule, Size, Tiled, ceil_div

print("this goes to stderr")


def program(b: Builder, *, n: Size, d: Size, B_r: Size, B_c: Size) -> None:
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs="O[i,l] <- Q[i,:], K[:,:], V[:,l]")
    with b.tiles("i", n, B_r) as i, b.load(Q[i, :]) as q:
        o, m, l = b.zeros("o", i, d), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("j", n, B_c) as j:
            s = b.zeros("s", i, j)
            with b.load(K[j, :]) as k:
                b.op("add_abt", s, q, k)
            b.op("divide_by_sqrt", s, of=d)
            b.op("online_softmax", s, m, l, o)
            with b.load(V[j, :]) as v:
                b.op("add_ab", o, s, v)
            b.free(s)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(o, m, l)


mine = Tiled(
    name="block-rows",
    summary="row tiles of Q and O stay, blocks of K and V pass by",
    source="a test",
    schedules=(
        Schedule(
            name="blocks",
            author=program,
            tiles={"B_r": "n", "B_c": "n"},
            io=lambda *, n, d, B_r, B_c: 2 * n * d + 2 * n * d * ceil_div(n, B_r),
            peak=lambda *, n, d, B_r, B_c: 2 * B_r * d + 2 * B_r + B_r * B_c + B_c * d,
        ),
    ),
)
'''


def write(folder: Path, *changes: tuple[str, str], name: str = "mine.py") -> str:
    """The file, with pieces of its text replaced; its path."""
    text = MINE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    return str(path)
