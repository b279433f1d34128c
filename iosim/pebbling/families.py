"""Computation graphs of well-known algorithms at tiny sizes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import combinations_with_replacement, product

from iosim.errors import UsageError
from iosim.pebbling.graph import Cdag, from_edges, of_names


def attention(
    n: int,
    n_k: int,
    d: int,
    d_v: int,
    *,
    meets: Callable[[int, int], bool] = lambda _i, _j: True,
    tied: bool = False,
) -> Cdag:
    """Exact attention, as the lower bounds have it.

    S_ij is the sum of d products Q_il K_jl, each a term. Its exponential takes its place: P_ij is the same node, once all
    terms are in. O_il is the sum over the keys of P_ij V_jl, each product a term. Row statistics and the division by the row
    sum are left out: bounds do not count them, so schedules that pay for them move no less.

    Args:
        meets: whether query i meets key j.
        tied: whether V is the first columns of K.
    """
    terms: dict[str, list[list[str]]] = {}
    value = "K" if tied else "V"
    pairs = [(i, j) for i in range(n) for j in range(n_k) if meets(i, j)]
    for letter, rows, columns in (("Q", n, d), ("K", n_k, d), *(() if tied else (("V", n_k, d_v),))):
        terms |= {f"{letter}[{row},{l}]": [] for row in range(rows) for l in range(columns)}
    for i, j in pairs:
        terms[f"S[{i},{j}]"] = [[f"Q[{i},{l}]", f"K[{j},{l}]"] for l in range(d)]
    outputs = []
    for i, l in product(range(n), range(d_v)):
        made_of = [[f"S[{i},{j}]", f"{value}[{j},{l}]"] for row, j in pairs if row == i]
        if made_of:
            terms[f"O[{i},{l}]"] = made_of
            outputs.append(f"O[{i},{l}]")
    return of_names(terms, outputs=outputs, title=f"attention n_q={n} n_k={n_k} d={d} d_v={d_v}")


def gradient(n: int, n_k: int, d: int, d_v: int, *, given: Collection[str] = ("O", "L")) -> Cdag:
    """The gradient of exact attention.

    P_ij is the sum of d products Q_il K_jl, and of L_i, which it needs before it is a probability. dS_ij is the sum of d_v
    products dO_il V_jl, and needs P_ij and D_i = sum_l dO_il O_il: the order of these terms is left open, which only lets
    more schedules be legal. dQ, dK and dV are sums of products with dS and P.

    Args:
        given: which of O and L a schedule is given; what is missing is left out, like the row statistics of attention.
    """
    terms: dict[str, list[list[str]]] = {}
    shapes = {"Q": (n, d), "K": (n_k, d), "V": (n_k, d_v), "dO": (n, d_v)}
    shapes |= {"O": (n, d_v)} if "O" in given else {}
    shapes |= {"L": (n, 1)} if "L" in given else {}
    for letter, (rows, columns) in shapes.items():
        terms |= {f"{letter}[{row},{l}]": [] for row in range(rows) for l in range(columns)}
    if "O" in given:
        terms |= {f"D[{i}]": [[f"dO[{i},{l}]", f"O[{i},{l}]"] for l in range(d_v)] for i in range(n)}
    for i, j in product(range(n), range(n_k)):
        terms[f"P[{i},{j}]"] = [[f"Q[{i},{l}]", f"K[{j},{l}]"] for l in range(d)]
        terms[f"P[{i},{j}]"] += [[f"L[{i},0]"]] if "L" in given else []
        terms[f"dS[{i},{j}]"] = [[f"dO[{i},{l}]", f"V[{j},{l}]"] for l in range(d_v)]
        terms[f"dS[{i},{j}]"] += [[f"P[{i},{j}]", *([f"D[{i}]"] if "O" in given else [])]]
    outputs = {
        f"dQ[{i},{l}]": [[f"dS[{i},{j}]", f"K[{j},{l}]"] for j in range(n_k)] for i in range(n) for l in range(d)
    }
    outputs |= {
        f"dK[{j},{l}]": [[f"dS[{i},{j}]", f"Q[{i},{l}]"] for i in range(n)] for j in range(n_k) for l in range(d)
    }
    outputs |= {
        f"dV[{j},{l}]": [[f"P[{i},{j}]", f"dO[{i},{l}]"] for i in range(n)] for j in range(n_k) for l in range(d_v)
    }
    return of_names(terms | outputs, outputs=list(outputs), title=f"gradient n_q={n} n_k={n_k} d={d} d_v={d_v}")


def polynomial_attention(n: int, n_k: int, d: int, d_v: int, degree: int) -> Cdag:
    """Attention with a polynomial in place of the exponential.

    For each monomial alpha of degree at most g in d variables, W[alpha,l] is the sum over the keys of k_j^alpha V_jl, and
    O_il the sum over the monomials of q_i^alpha W[alpha,l]; coefficients are known and cost nothing. A term is such a
    product, of all the words in it. The normaliser is left out, like the row statistics of exact attention.

    Source: the step model (P) of polynomial approximate attention: a step accumulates one product of fast words.
    """
    monomials = [alpha for g in range(degree + 1) for alpha in combinations_with_replacement(range(d), g)]
    terms: dict[str, list[list[str]]] = {}
    for letter, rows, columns in (("Q", n, d), ("K", n_k, d), ("V", n_k, d_v)):
        terms |= {f"{letter}[{row},{l}]": [] for row in range(rows) for l in range(columns)}

    def word(alpha: tuple[int, ...], column: str) -> str:
        return f"W[{''.join(map(str, alpha)) or '-'},{column}]"

    def factors(letter: str, row: int, alpha: tuple[int, ...]) -> list[str]:
        return [f"{letter}[{row},{l}]" for l in sorted(set(alpha))]

    for alpha, l in product(monomials, range(d_v)):
        terms[word(alpha, str(l))] = [[*factors("K", j, alpha), f"V[{j},{l}]"] for j in range(n_k)]
    outputs = []
    for i, l in product(range(n), range(d_v)):
        terms[f"O[{i},{l}]"] = [[*factors("Q", i, alpha), word(alpha, str(l))] for alpha in monomials]
        outputs.append(f"O[{i},{l}]")
    return of_names(terms, outputs=outputs, title=f"polynomial attention n_q={n} n_k={n_k} d={d} d_v={d_v} g={degree}")


def matmul(m: int, n: int, k: int) -> Cdag:
    """C = A B with A [m, k], B [k, n]: C_ij is a sum of k products, each a term."""
    terms: dict[str, list[list[str]]] = {}
    for letter, rows, columns in (("A", m, k), ("B", k, n)):
        terms |= {f"{letter}[{row},{l}]": [] for row in range(rows) for l in range(columns)}
    for i, j in product(range(m), range(n)):
        terms[f"C[{i},{j}]"] = [[f"A[{i},{l}]", f"B[{l},{j}]"] for l in range(k)]
    return of_names(terms, title=f"matmul {m} x {k} x {n}")


def fft(n: int) -> Cdag:
    """The butterfly graph of a fast Fourier transform of n = 2^s points: s + 1 levels of n nodes."""
    levels = n.bit_length() - 1
    return from_edges(
        (
            (f"x[{level},{other}]", f"x[{level + 1},{i}]")
            for level in range(levels)
            for i in range(n)
            for other in (i, i ^ (1 << level))
        ),
        title=f"FFT of {n} points",
    )


def grid(rows: int, columns: int) -> Cdag:
    """The two-dimensional grid: (i, j) needs (i-1, j) and (i, j-1)."""
    nodes = product(range(rows), range(columns))
    return from_edges(
        (
            (f"x[{i},{j}]", f"x[{a},{b}]")
            for i, j in nodes
            for a, b in ((i + 1, j), (i, j + 1))
            if a < rows and b < columns
        ),
        title=f"grid {rows} x {columns}",
    )


def family(text: str) -> Cdag | None:
    """The graph that a name like `fft:8`, `grid:4x5`, `matmul:2x3x2` (m x k x n) stands for; None if it is no such name.

    Raises:
        UsageError: the sizes are not what the family takes.
    """
    name, colon, sizes = text.partition(":")
    if not colon or name not in _FAMILIES:
        return None
    count, allowed, build = _FAMILIES[name]
    words = sizes.split("x")
    numbers = [int(word) for word in words if word.isascii() and word.isdecimal() and len(word) < 6]
    small = len(numbers) == len(words) == count and all(0 < x <= _MOST for x in numbers)
    if not small or (name == "fft" and (numbers[0] < 2 or numbers[0] & (numbers[0] - 1))):
        raise UsageError(f"--graph {text}: allowed: {allowed}, sizes from 1 to {_MOST}")
    return build(*numbers)


_MOST = 64
_FAMILIES: dict[str, tuple[int, str, Callable[..., Cdag]]] = {
    "fft": (1, "fft:N with N = 2, 4, 8, ...", fft),
    "grid": (2, "grid:ROWSxCOLUMNS", grid),
    "matmul": (3, "matmul:MxKxN", lambda m, k, n: matmul(m, n, k)),
}
