"""Sums that live for a moment: why the bounds for approximate attention subtract what they do, and ask for whole sums."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.witnesses.early_sums import (
    held_rows_io,
    held_rows_peak,
    held_rows_program,
    row_sums_io,
    row_sums_peak,
    row_sums_program,
)
from iosim import count, execute, peak_words
from iosim.approximation.minimax import minimax_exp
from iosim.bounds.approx import AGAIN, ONE_SHOT, SUMS_OF_MONOMIALS, applicable, words_of_a_row
from iosim.bounds.bound import Setting
from iosim.interpret.words.features import feature_trace
from iosim.numeric.inputs import random_input
from iosim.numeric.reference import polynomial_attention
from iosim.program import Program
from proofs.audit.approx_auditor import audit
from proofs.audit.approx_replay import replay
from tests.legality import fits_exactly

CASES = [(3, 2, 3), (5, 2, 2), (1, 1, 1), (7, 3, 1)]  # n, d, g


def programs(n: int, d: int, g: int, B: int = 2) -> list[tuple[Program, dict[str, int], int, int]]:
    """Both programs with coefficients, their sizes, and the claimed traffic and peak."""
    coefficients = tuple(minimax_exp(g, 1.0).coefficients)
    B = min(B, n)
    return [
        (held_rows_program(d, g, coefficients), {"n": n}, held_rows_io(n=n, d=d), held_rows_peak(n=n, d=d, degree=g)),  # type: ignore
        (
            row_sums_program(d, g, coefficients),
            {"n": n, "B": B},
            row_sums_io(n=n, d=d, B=B),
            row_sums_peak(d=d, B=B, degree=g),
        ),  # type: ignore
    ]


@pytest.mark.parametrize(("n", "d", "g"), CASES)
def test_counted_legal_and_right(n: int, d: int, g: int) -> None:
    """The claimed traffic and peak; legal there and not with a word less; the output is polynomial attention."""
    data = random_input(n, d, logit_bound=1.0, seed=n)
    inputs = {"Q": data.Q[0], "K": data.K[0], "V": data.V[0]}
    exact = polynomial_attention(*inputs.values(), minimax_exp(g, 1.0).coefficients)
    for program, sizes, io, peak in programs(n, d, g):
        assert count(program, sizes).io_words == io
        assert peak_words(program, sizes) == peak
        fits_exactly(program, sizes, peak)
        np.testing.assert_allclose(execute(program, sizes, inputs)["O"], exact, rtol=0, atol=1e-13)


# n, d, g; fast memory; 2 n C with nothing subtracted
REFUTED = [(3, 4, 4, 52, 2 * 3 * 29), (4, 6, 4, 101, 2 * 4 * 77)]


@pytest.mark.parametrize(("n", "d", "g", "M", "least"), REFUTED)
def test_held_rows_refute_a_bound_with_nothing_subtracted(n: int, d: int, g: int, M: int, least: int) -> None:
    """4nd = 48 and 96 words in 52 and 101 words of fast memory, where 2 n C is more than three and six times as much;
    r d subtracted leaves nothing. Even 37 and 64 words are enough, temporaries counted."""
    at = Setting(N=n * n, n_q=n, n_k=n, d=d, d_v=d, M=M, g=g, properties=SUMS_OF_MONOMIALS)
    assert least == 2 * n * words_of_a_row(g, d, at.sizes["r"] * d, M)
    program, sizes, io, peak = programs(n, d, g)[0]
    assert count(program, sizes).io_words == io == 4 * n * d < least
    assert peak == {3: 37, 4: 64}[n]
    assert all(words <= io for _, words, _ in applicable(at))


@pytest.mark.parametrize(("n", "d", "g"), [(3, 2, 2), (4, 2, 3), (2, 3, 1)])
def test_the_accounts_of_sums_that_never_move(n: int, d: int, g: int) -> None:
    """Held rows: all n r d additions are in r d pure stays with n each; moves are 4nd words and r d stays: none to spare.
    Row sums: each of n r d ceil(n/B) pure stays holds one row."""
    for (program, sizes, _, peak), rows in zip(programs(n, d, g), (n, 1), strict=True):
        trace = feature_trace(program, sizes, d=d, g=g)
        history = replay(trace, peak, least=rows)
        assert history.m == rows
        pure = [stay for stay in history.stays if stay.pure]
        assert len(pure) * rows == sum(len(stay.rows) for stay in history.stays)
        assert {len(stay.rows) for stay in pure} == {rows}
        audit(trace, peak, least=rows)


def test_sums_used_early_beat_the_bound_for_whole_sums() -> None:
    """Flash attention in disguise: n = 256, d = 16, g = 4, 10 queries a tile, moves less than a third of what sums of all
    rows have to; the bounds for sums of one row allow it."""
    n, d, g, B = 256, 16, 4, 10
    program = row_sums_program(d, g)
    M = row_sums_peak(d=d, B=B, degree=g)
    assert isinstance(M, int)
    io = count(program, {"n": n, "B": B}).io_words
    assert io == 2 * n * d + 2 * n * d * 26  # ceil(256/10) = 26
    whole, early = (
        Setting(N=n * n, n_q=n, n_k=n, d=d, d_v=d, M=M, g=g, m=m, properties=SUMS_OF_MONOMIALS) for m in (None, 1)
    )
    assert {bound: words for bound, words, _ in applicable(whole)}[ONE_SHOT] > 3 * io
    found = {bound: words for bound, words, _ in applicable(early)}
    assert ONE_SHOT not in found
    assert AGAIN not in found
