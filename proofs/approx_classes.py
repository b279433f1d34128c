"""Approximate attention with any features of rows: sums that are linear in V, and sums that are not."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement, product
from math import comb

from sympy import Ge, Rational

from iosim.bounds.approx import LINEAR, SMOOTH, words_of_a_row
from iosim.proof import Fact, argue, cite, exhaust, refute
from iosim.proof.theorem import IO, Conclusions, theorem
from proofs.approx_capacity import echelon, parts_of_a_row, words_of_any_functions
from proofs.approx_model import C, X
from proofs.approx_one_shot import columns
from proofs.approx_recomputed import again
from proofs.model import n_k, n_q, too_strong
from proofs.schedules import polarised


@theorem
def approximate_io_with_any_features() -> Conclusions:
    """The traffic of approximate attention by any features, whose sums are linear in V.

    Statement: the bounds for sums of monomials that are computed again hold for all sums of rows that are linear in V, with
        the C for columns of V.
    Hypotheses: the machine and the stays of `proofs.approx_model`, but words of a row are any smooth functions of the words
        of the row, and what is added to a sum W_x = sum_j Psi_x(k_j, v_j) is linear in v_j; pieces may be of higher degree
        and cancel later; it comes from single rows, or is a part of the same sum (no sum is made of others). An output is
        lambda(q_i) num_il/(lambda(q_i) norm_i), its words pieces c(q_i) W_x. No coefficient of the polynomial is zero. A sum
        is used only when it holds all rows.
    Does not say: anything if additions are not linear in V, even if their sum is; there the constant is less for g = 1.
    Source: this proof.
    """
    # 1. The products k^alpha v_l are replaced by the dimension of a space of jets at a generic point.
    jets = argue(
        "the order-g jets of all functions F(p_1..p_t) of t smooth functions lie in a space of dimension C(t+g, g), by "
        "Taylor's expansion of F; times u words that are linear in v, C(t+g, g) u; of w sums, row j has pieces in at most "
        "w: what a segment adds of row j to the sums has jets of dimension at most min(kappa(s), w)",
        using=[words_of_any_functions()],
    )
    # 2. What all segments add of one row has all dimensions.
    rank = argue(
        "the output is right for all inputs: sum over x of c_x(q) chi_x(k) v = lambda(q) p(q.k) v_l for row j and all l. At "
        "generic q this spans the polynomials of degree g in k, times each v_l: dimension r d_v, on which jets are "
        "injective, as no coefficient of p is zero. Fix one complete history for each sum: rank is subadditive over "
        "segments, so that the segments together have r d_v for each row of K. The tensor sum over x of c_x (x) chi_x has "
        "that rank too, so the same is true of the pieces c_x of each row of Q",
        using=[jets],
        beside=[powers_of_forms_span()],
    )
    needed = argue(
        "with ranks in place of numbers of contributions, each row needs the words that it needs for monomials: what a sink "
        "is multiplied by later is one function for all that is in it, which raises no dimension",
        Ge(X, (n_q + n_k) * C),
        using=[rank, parts_of_a_row()],
    )
    too_strong("three percent more", LINEAR, *columns(LINEAR, 2**24), times=Rational(103, 100))
    additions_have_to_be_linear()
    return {LINEAR: again(LINEAR, needed, (n_q + n_k) * C)}


def additions_have_to_be_linear() -> Fact:
    """Where they are not, the additions alone cost less: W = K^T V for g = 1, by squares of sums of columns of K and V."""
    n, k, blocks = 2**40, 31, 16
    d = blocks * k * k
    schedule = polarised(n, d, k)
    words = schedule.io
    moved = cite(
        f"{schedule.by}: {words:,} words moved with {schedule.peak} words of fast memory for K^T V of n = {n:,} rows and "
        f"d = {d:,} columns each",
        schedule.source,
    )
    return refute(
        "n_k C, less nothing, for the d^2 products of each row in K^T V, if additions need not be linear in V",
        Ge(IO, n_k * C, evaluate=False),
        {IO: words, n_k: n, C: words_of_a_row(1, d, d * d, schedule.peak)},
        using=[moved],
    )


@theorem
def approximate_io_with_sums_of_any_functions() -> Conclusions:
    """The traffic of approximate attention by sums of any functions of single rows.

    Statement: every schedule moves at least (1 - M/m) n_k C words, where C is for rows of K, and s words of a row give
        C(s+g+1, g+1) - 1 dimensions; for g = 1 the leading term is 1/sqrt(2) of that for sums linear in V.
    Hypotheses: as for sums that are linear in V, but additions may be any smooth functions of a row; what is not linear in V
        cancels in the end.
    Does not say: anything on how sums are used; that the constant is attained for g >= 2.
    Source: this proof.
    """
    jets = argue(
        "the order-(g+1) jets, without constants, of functions of s smooth functions have dimension C(s+g+1, g+1) - 1; the "
        "coefficients of k^alpha v_l with |alpha| <= g are linear in them",
        beside=[jets_of_functions()],
    )
    needed = argue(
        "the segments together have all r d_v of these for each row of K, and each at most min(C(s+g+1, g+1) - 1, M) for s "
        "words of the row and at most M sums",
        Ge(X, n_k * C),
        using=[jets, parts_of_a_row()],
    )
    too_strong("three times as much", SMOOTH, *columns(SMOOTH, 2**24), times=Rational(3))
    return {SMOOTH: again(SMOOTH, needed, n_k * C)}


def powers_of_forms_span() -> Fact:
    """p(q.k) at enough q spans the polynomials: checked by rank over the rationals."""

    def rank(d: int, degree: int, without: int | None) -> int:
        exponents = [a for a in product(range(degree + 1), repeat=d) if sum(a) <= degree and sum(a) != without]
        points = product(range(1, degree + 2), repeat=d)
        rows = tuple(
            tuple(
                Fraction(_power(q, alpha)) if alpha in exponents else Fraction(0)
                for alpha in product(range(degree + 1), repeat=d)
                if sum(alpha) <= degree
            )
            for q in points
        )
        return len(echelon(rows))

    return exhaust(
        "values of p(q.k) at (g+1)^d points q span all C(d+g, g) monomials, for d, g up to 3; without one degree they do "
        "not",
        product(range(1, 4), range(1, 4)),
        lambda case: rank(*case, None) == comb(sum(case), case[1]),
        refuted=lambda case: rank(*case, 1) == comb(sum(case), case[1]),
    )


def _power(q: tuple[int, ...], alpha: tuple[int, ...]) -> int:
    found = 1
    for x, e in zip(q, alpha, strict=True):
        found *= x**e
    return found


def jets_of_functions() -> Fact:
    """The number of monomials of degree 1 to g + 1 in s words."""

    def count(s: int, g: int) -> int:
        return sum(1 for degree in range(1, g + 2) for _ in combinations_with_replacement(range(s), degree))

    return exhaust(
        "monomials of degree 1 to g+1 in s words are C(s+g+1, g+1) - 1, for s up to 6, g up to 4",
        product(range(1, 7), range(1, 5)),
        lambda case: count(*case) == comb(case[0] + case[1] + 1, case[1] + 1) - 1,
        refuted=lambda case: count(*case) < comb(case[0] + case[1] + 1, case[1] + 1) - 1,
    )
