"""Computation graphs of well-known algorithms at tiny sizes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement, product

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
        ((f"x[{i},{j}]", f"x[{a},{b}]") for i, j in nodes for a, b in ((i + 1, j), (i, j + 1)) if a < rows and b < columns),
        title=f"grid {rows} x {columns}",
    )
