"""The program of a plan on real arrays: heads that share keys as one array of queries, and apart again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from iosim.errors import ExecutionError
from iosim.expr import evaluate_int
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.task import ATTENTION, Task

if TYPE_CHECKING:
    from iosim.numeric.inputs import AttentionInput
    from iosim.numeric.reference import Float64


def check_arrays(plan: Plan, problem: Problem, task: Task) -> None:
    """Whether the program has the inputs and outputs of the task, and their shapes.

    Raises:
        ExecutionError: it has not.
    """
    program = plan.program
    inputs = {array.name for array in program.arrays if array.role == "input"}
    outputs = {array.name for array in program.arrays if array.role == "output"}
    if (plan.layout is None and not inputs <= set(task.inputs)) or outputs != set(task.outputs):
        raise ExecutionError(
            f"{program.name}: inputs {', '.join(sorted(inputs)) or 'none'}, outputs {', '.join(sorted(outputs)) or 'none'}; "
            f"allowed: inputs {', '.join(task.inputs)} and output{'s' if len(task.outputs) > 1 else ''} "
            f"{', '.join(task.outputs)}, or --no-numeric"
        )
    heads = [problem.instances] if problem.instances > 1 else []
    lengths = {"n": problem.group * problem.n, "n_k": problem.n_k, "d": problem.d, "d_v": problem.d_v}
    lengths |= {"new": problem.n, "r": problem.features, "1": 1}
    for array in program.arrays:
        if array.role == "scratch" or (array.role == "input" and plan.layout is not None):
            continue  # `execute` holds what a layout makes against the declared shape
        shape = [evaluate_int(size, plan.executed) for size in array.shape]
        expected = [*heads, *(lengths[axis] for axis in task.axes[array.name])]
        if shape != expected:
            raise ExecutionError(f"{program.name}: {array.name} is {shape}; allowed: {expected}, or --no-numeric")


def run_plan(plan: Plan, problem: Problem, data: AttentionInput, progress: Callable[[float], None]) -> Float64:
    """O of the plan's program on real data. Shape: [query heads, n, d_v]."""
    return run_task(plan, problem, ATTENTION, {"Q": data.Q, "K": data.K, "V": data.V}, progress)["O"]


def run_task(
    plan: Plan, problem: Problem, task: Task, inputs: Mapping[str, Float64], progress: Callable[[float], None]
) -> dict[str, Float64]:
    """The outputs of the plan's program on real data.

    Shapes: inputs and outputs with rows for queries: [query heads, n, ...]; for keys: [key heads, n_k, ...].
    """
    import numpy as np

    from iosim.interpret.execute import execute

    heads, group = problem.instances, problem.group

    def of_queries(name: str) -> bool:
        return task.axes.get(name, ("",))[0] == "n"

    given = {name: merged_queries(array, problem) if of_queries(name) else array for name, array in inputs.items()}
    if heads == 1:
        given = {name: array[0] for name, array in given.items()}
    if plan.layout is not None:
        given = dict(plan.layout(given, plan.executed))
    with np.errstate(all="ignore"):  # what overflows shows as a word that is not finite
        found = execute(plan.program, plan.executed, given, progress=progress)
    for name, array in found.items():
        shape = (heads, problem.n, group, -1) if of_queries(name) else (heads, array.shape[-2], 1, -1)
        parted = array.reshape(shape).swapaxes(1, 2)
        found[name] = parted.reshape(-1, parted.shape[2], parted.shape[3])
    return found


def merged_queries(array: Float64, problem: Problem) -> Float64:
    """The queries of heads that share keys as rows of one array, those of one position next to each other."""
    heads = problem.instances
    return array.reshape(heads, problem.group, problem.n, -1).swapaxes(1, 2).reshape(heads, -1, *array.shape[2:])
