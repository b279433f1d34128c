"""The registered algorithms, small problems that each is for, and its plans of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st

from iosim.algorithm import Best
from iosim.approximation.minimax import minimax_exp
from iosim.block_masks import PatternMask
from iosim.masks import CAUSAL, FULL, Mask
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.registry import algorithms

REGISTERED = algorithms()
# Other orders of what another algorithm has; they have tests of their own.
SAME_STATEMENTS = {"looped-block-order", "token-hunting"}
# the plans of one that picks the best of others are theirs
OWN = {name: a for name, a in REGISTERED.items() if not isinstance(a, Best) and name not in SAME_STATEMENTS}
EVERY_OWN = pytest.mark.parametrize("name", OWN)

LOGIT_BOUND = 1.0

# Of the methods, up to sizes that keep a word-by-word run short.
SETTINGS = {option.name: 8 for a in REGISTERED.values() if a.method for option in a.method.options}
SETTINGS |= {"loops": 3, "layers": 2, "hidden": 3}

MASKS = (FULL, FULL, CAUSAL, Mask(back=2, ahead=0), Mask(back=1, ahead=3), Mask(ahead=2))


@st.composite
def problems(draw: st.DrawFn, n: int = 12, d: int = 4, degree: int = 3) -> Problem:
    """Small problems of any shape; the polynomial of an approximate algorithm is the best one on [-1, 1]."""
    g = draw(st.integers(0, degree))
    mask = draw(st.sampled_from(MASKS))
    queries = draw(st.integers(1, n))
    return Problem(
        n=queries,
        d=draw(st.integers(1, d)),
        n_k=draw(st.integers(1 if mask.full else queries, n)),
        d_v=draw(st.integers(1, d)),
        group=draw(st.integers(1, 3)),
        mask=mask,
        degree=g,
        coefficients=minimax_exp(g, LOGIT_BOUND).coefficients,
        settings=tuple((name, draw(st.integers(1, most))) for name, most in SETTINGS.items()),
    )


def fitted(name: str, problem: Problem) -> Problem:
    """The problem, or what is nearest to it of what the algorithm is for."""
    tied = replace(problem, tied=True, d_v=min(problem.d, problem.d_v))
    # tables of row tiles are checked row by row: fewer queries
    n, n_k = min(problem.n, 40), min(problem.n_k, 60)
    blocks = replace(problem, n=n, n_k=max(n, n_k), mask=PatternMask(3, "bigbird", (0, 1, 1, problem.d)))
    tokens = replace(problem, n_k=max(problem.n, problem.n_k), mask=CAUSAL)
    for nearest in (
        problem,
        tied,
        tokens,
        replace(tied, mask=FULL),
        replace(problem, mask=FULL),
        square(problem),
        blocks,
    ):
        if REGISTERED[name].unsupported(nearest) is None:
            return REGISTERED[name].settled(nearest)
    raise AssertionError(name)


def square(problem: Problem) -> Problem:
    """As many keys as queries, values as wide as keys, every query meets every key."""
    return replace(problem, n_k=problem.n, d_v=problem.d, group=1, mask=FULL)


# From the smallest fast memory to one in which everything fits.
SPARE = st.integers(0, 30) | st.integers(0, 400)


def plans(name: str, problem: Problem, spare: int) -> list[Plan]:
    """What an algorithm offers with `spare` words more than it needs: at least one plan."""
    algorithm = REGISTERED[name]
    found = list(algorithm.plans(problem, algorithm.least_capacity(problem) + spare))
    assert found
    return found
