"""Does the program compute the gradient of attention? dQ, dK and dV, row by row against the float64 reference."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from iosim.errors import UsageError
from iosim.numeric.differences import Differences, Numeric, sampled
from iosim.numeric.reference import Float64, norm_bound, softmax_attention
from iosim.numeric.reference_gradient import (
    GradientBound,
    gradient_rounding_bound,
    key_masses,
    log_sum_exp,
    softmax_attention_gradient,
)
from iosim.numeric.run import run_task
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.progress import Progress, silent
from iosim.task import GRADIENT

if TYPE_CHECKING:
    from iosim.numeric.inputs import AttentionInput

_STREAM = 1  # of random numbers, for dO; others are those of Q, K and V


def gradient_inputs(
    problem: Problem, data: AttentionInput, seed: int, progress: Progress = silent
) -> dict[str, Float64]:
    """Q, K, V, a standard normal dO, and O and L of the forward pass in float64.

    Shapes: Q, O, dO: [query heads, n, ...], L: [query heads, n], K, V: [key heads, n_k, ...].
    """
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, _STREAM))))
    O, L = np.empty((data.heads, data.n, data.d_v)), np.empty((data.heads, data.n))
    for head in range(data.heads):
        progress("the forward pass in float64", head / data.heads)
        K, V = data.K[head // data.group], data.V[head // data.group]
        O[head] = softmax_attention(data.Q[head], K, V, mask=problem.mask)
        L[head] = log_sum_exp(data.Q[head], K, problem.mask)
    return {"Q": data.Q, "K": data.K, "V": data.V, "O": O, "dO": random.standard_normal(O.shape), "L": L}


def compare_gradient(
    plan: Plan, problem: Problem, data: AttentionInput, *, rows: int | None, seed: int, progress: Progress
) -> Numeric:
    """Runs the program, and compares rows of dQ, dK and dV with the float64 reference; as `compare_with_reference`.

    The queries of heads that share keys are one long array: dK and dV are sums over all of them.
    """
    inputs = gradient_inputs(problem, data, seed, progress)
    found = run_task(plan, problem, GRADIENT, inputs, partial(progress, "computing"))
    queries, keys = sampled(problem.n, rows, seed), sampled(problem.n_k, rows, seed)
    chosen = np.concatenate([queries + problem.n * head for head in range(problem.group)])
    differences = Differences()
    for head in range(problem.instances):
        progress("comparing with the float64 gradient", head / problem.instances)
        own = slice(problem.group * head, problem.group * (head + 1))
        Q, O, dO, dQ = (
            x[own].reshape(problem.group * problem.n, -1) for x in (data.Q, inputs["O"], inputs["dO"], found["dQ"])
        )
        K, V, L = data.K[head], data.V[head], inputs["L"][own].reshape(-1)
        right = softmax_attention_gradient(Q, K, V, O, dO, L, rows=chosen, keys=keys, mask=problem.mask)
        try:
            mass = float(key_masses(Q, K, L, keys=keys, mask=problem.mask).max())
            bound = gradient_rounding_bound(Q, K, V, dO, logit_bound=norm_bound(Q, K), mass=mass)
        except UsageError:  # scores so large that float64 is no reference
            bound = GradientBound(math.inf, math.inf, math.inf)
        differences.add(dQ, right.dQ, chosen, bound.dQ)
        differences.add(found["dK"][head], right.dK, keys, bound.dK)
        differences.add(found["dV"][head], right.dV, keys, bound.dV)
    return differences.alone(
        plan,
        rows_checked=problem.instances * (len(chosen) + 2 * len(keys)),
        rows=problem.instances * (problem.group * problem.n + 2 * problem.n_k),
        seed=seed,
    )
