"""From which n on approximate attention pays, by times and by two models."""

from __future__ import annotations

import pytest

from iosim.approximation.payoff import payoff
from iosim.gpu.cases import Case
from iosim.gpu.crossover import crossing, crossovers, first, roofline_seconds
from iosim.gpu.results import CaseResult
from iosim.machines import machine
from iosim.problem import Problem
from iosim.registry import find

H100 = machine("h100")


def result(n: int, seconds: float, sdpa: float, mask: str = "full") -> CaseResult:
    """A case that was timed."""
    case = Case(algorithm="approx-resident", n=n, d=16, heads=132, mask=mask, degree=2, tiles={"N": 32}, sdpa=True)
    timed = {"seconds": seconds, "sdpa_seconds": sdpa, "accuracy": {"holds": True}, "resources": []}
    return CaseResult(number=0, case=case, timed=timed)


def test_times_cross_between_two_that_were_measured() -> None:
    """Linear against quadratic time: a line and a parabola meet where they do, on a logarithmic scale too."""
    results = [result(n, 1e-6 * n, 1e-9 * n * n) for n in (4096, 256, 512)]
    (found,) = crossovers(results, H100)
    assert found.sizes == (256, 512, 4096)
    assert found.measured == pytest.approx(1000)
    assert crossing([(1, 2.0), (2, 1.5)]) is None
    assert crossing([(1, 0.5), (2, 0.1)]) is None


def test_one_size_is_no_crossing() -> None:
    """At least two sizes of one kernel; exact kernels are not looked at."""
    assert crossovers([result(256, 1.0, 2.0)], H100) == []


def test_the_roofline_has_bytes_products_and_exponentials() -> None:
    """Each of them can be what takes longest. An H100: 3.35 TB/s, 989.4 Tflop/s, 16/256 of 66.9 Tflop/s exponentials."""
    assert roofline_seconds(H100, flops=0, moved=3.35e12) == pytest.approx(1)
    assert roofline_seconds(H100, flops=2 * 989.4e12, moved=3.35e12) == pytest.approx(2)
    assert roofline_seconds(H100, flops=0, moved=0, exponentials=3 * 66.9e12 / 16) == pytest.approx(3)
    assert roofline_seconds(machine("epyc7763"), flops=1, moved=1) is None


def test_on_the_roofline_attention_with_small_heads_waits_for_exponentials() -> None:
    """16 columns: the kernel waits for bytes, 4 * 16 * 2 n / 3.35 TB/s; exact attention for n^2 exponentials."""
    (found,) = crossovers([result(n, 1.0, 2.0) for n in (256, 512)], H100)
    n = 4 * 16 * 2 / 3.35e12 * 66.9e12 / 16
    assert found.modelled == int(n) + 1


def test_under_a_causal_mask_exact_attention_has_its_pairs_only() -> None:
    """n (n + 1) / 2 exponentials in the time of the bytes: twice the n, but for the one."""
    (found,) = crossovers([result(n, 1.0, 2.0, "causal") for n in (256, 512)], H100)
    n = 4 * 16 * 2 / 3.35e12 * 66.9e12 / 16
    assert found.modelled == int(2 * n - 1) + 1


def test_the_work_of_a_case_is_that_of_the_pairs_that_meet() -> None:
    """Two products of 2 d operations for each of them; here the last 3 of 5 keys' positions, query i meeting 3 + i keys."""
    case = Case(algorithm="flash2", n=3, n_k=5, d=16, heads=7, mask="causal")
    assert case.pairs == 7 * (3 + 4 + 5)
    assert case.useful_flops == 2 * 2 * 16 * case.pairs


def test_by_words_it_is_where_the_program_moves_fewer() -> None:
    """One n before, the best exact schedule moves as few, in the registers and the shared memory of an SM."""
    (found,) = crossovers([result(n, 1.0, 2.0) for n in (256, 512)], H100)
    assert found.words is not None
    words = (256 + 228) * 1024 // 2
    algorithm = find("approx-resident")
    for n, pays in ((found.words, True), (found.words - 1, False)):
        problem = Problem(n=n, d=16, degree=2)
        moved = algorithm.best(problem, words).io_words
        assert payoff(algorithm, problem, words, moved, elsewhere=False).pays == pays


def test_without_figures_of_the_machine_only_times_are_there() -> None:
    """A GPU that is not in the table."""
    (found,) = crossovers([result(256, 3.0, 2.0), result(512, 1.0, 2.0)], None)
    assert (found.modelled, found.words) == (None, None)
    assert found.measured is not None


def test_the_least_n_is_found_by_halving() -> None:
    """None where it never holds."""
    assert first(lambda n: n >= 1) == 1
    assert first(lambda n: n >= 1000) == 1000
    assert first(lambda _: False) is None
