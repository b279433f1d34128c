"""Programs of a few lines that several tests run."""

from __future__ import annotations

from iosim import Builder, Size, build
from iosim.program import Table


def matmul(b: Builder, *, n: Size, B: Size) -> None:
    """C = A B, tile by tile."""
    A, B_, C = b.input("A", (n, n)), b.input("B", (n, n)), b.output("C", (n, n), needs="C[i,j] <- A[i,:], B[:,j]")
    with b.tiles("i", n, B) as i, b.tiles("j", n, B) as j, b.zeros("c", i, j) as c:
        with b.tiles("l", n, B) as l, b.load(A[i, l]) as a, b.load(B_[l, j]) as w:
            b.op("add_ab", c, a, w)
        b.store(c, C[i, j])


MATMUL = build(matmul, name="matmul", n="n", B="B")


def gathered(b: Builder, *, n: Size, B: Size) -> None:
    """Listed columns of X are added up, tile by tile."""
    X, Y = b.input("X", (n, 4)), b.output("Y", (n, 1), needs="Y[i,u] <- X[i,:]")
    table = Table([{"size": 2, "columns": (3, 0), "what": "a"}, {"size": 1, "columns": (2,), "what": "b"}])
    with b.tiles("i", n, B) as i, b.zeros("y", i, 1) as y:
        with b.table("t", table) as row, b.load(X[i, row.coordinates("columns", "size")]) as x:
            with b.full("u", row.size("size"), 1, fill=1.0) as u:
                b.op("add_ab", y, x, u)
            b.op("divide_by_sqrt", y, of=row.value("what"))
        b.store(y, Y[i, :])


GATHERED = build(gathered, name="gathered", n="n", B="B")
