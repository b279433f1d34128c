"""What is run on a GPU: one algorithm at one size, and the list of them that the whole validation is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from iosim.algorithm import Algorithm, Best, Tiled
from iosim.errors import UsageError
from iosim.request import Shape, choose_polynomial, make_problem, with_polynomial

if TYPE_CHECKING:
    from iosim.algorithm import Plan, Problem
    from iosim.interpret.triton import Kernels

LOGIT_BOUND = 1.0  # R of the inputs of approximate algorithms


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One algorithm at one size.

    Attributes:
        algo: name of the algorithm.
        n, d: queries of a head, head dimension.
        n_k: keys; None for as many as queries.
        heads: that share nothing.
        mask: which keys a query meets.
        dtype: format of the words in slow memory; statistics and sums are in fp32.
        degree: of the polynomial, for approximate algorithms.
        M: words of fast memory for which an algorithm without tiles to choose picks its schedule; None for no limit.
        tiles: sizes by name.
        num_warps, num_stages: of Triton; None for what the lowering takes.
        sdpa: whether PyTorch's fused attention is measured beside it.
    """

    algo: str
    n: int
    d: int
    n_k: int | None = None
    heads: int = 1
    mask: str = "full"
    dtype: str = "bf16"
    degree: int | None = None
    M: int | None = None
    tiles: Mapping[str, int] = field(default_factory=dict, hash=False)
    num_warps: int | None = None
    num_stages: int | None = None
    sdpa: bool = False

    @property
    def title(self) -> str:
        """For people."""
        parts = [f"n={self.n}", *([f"n_k={self.n_k}"] if self.n_k is not None else []), f"d={self.d}"]
        parts += [f"heads={self.heads}"] if self.heads > 1 else []
        parts += [self.mask] if self.mask != "full" else []
        parts += [f"degree={self.degree}"] if self.degree is not None else []
        parts += [f"M={self.M}w"] if self.M is not None else []
        parts += [f"{name}={size}" for name, size in self.tiles.items()]
        parts += [f"{self.num_warps} warps"] if self.num_warps is not None else []
        parts += [f"{self.num_stages} stages"] if self.num_stages is not None else []
        return " ".join([self.algo, *parts, self.dtype])

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `Case(**them)` is the case."""
        return {name: getattr(self, name) for name in self.__slots__} | {"tiles": dict(self.tiles)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A case made into a program and its kernels.

    Attributes:
        coefficients: of the polynomial in place of the exponential; None for softmax.
    """

    case: Case
    problem: Problem
    plan: Plan
    kernels: Kernels
    coefficients: tuple[float, ...] | None

    @property
    def word_bytes(self) -> dict[str, int]:
        """Of a word of each array."""
        sizes = {"fp64": 8, "fp32": 4, "fp16": 2, "bf16": 2, "int32": 4}
        return {parameter.name: sizes[parameter.dtype] for parameter in self.kernels.parameters}


def plan_of(case: Case) -> tuple[Plan, Problem]:
    """The program of a case at its sizes.

    Raises:
        UsageError: the algorithm is not for this, or has no such tiles.
    """
    from iosim.masks import parse_mask
    from iosim.registry import find

    algorithm = find(case.algo)
    shape = Shape(n=case.n, n_k=case.n_k, d=case.d, heads=case.heads, mask=parse_mask(case.mask, where="--mask"))
    polynomial = choose_polynomial(
        algorithm,
        degree=case.degree,
        eps=None,
        logit_bound=LOGIT_BOUND if algorithm.takes_polynomial else None,
        logits=None,
    )
    problem = algorithm.settled(with_polynomial(make_problem(shape, None), polynomial))
    limit = algorithm.unsupported(problem)
    if limit is not None:
        raise UsageError(f"{algorithm.name} at {problem}: this algorithm is for {limit}")
    return _plan(algorithm, problem, case).times(problem.heads), problem


def _plan(algorithm: Algorithm, problem: Problem, case: Case) -> Plan:
    """For one instance."""
    streams = case.tiles
    if not algorithm.takes_polynomial:
        if problem.mask.full:
            return algorithm.explicit(problem, case.tiles)
        # under a mask keys are counted word by word; the same words move in longer pieces
        known = {name for each in _tiled(algorithm) for schedule in each.schedules for name in schedule.streams}
        streams = {name: size for name, size in case.tiles.items() if name in known}
        plan = algorithm.explicit(problem, {k: v for k, v in case.tiles.items() if k not in known})
    else:
        # it chooses its blocks for M; how many rows and columns pass at a time changes no count
        plan = algorithm.best(problem, case.M or 2**62)
    for name, size in streams.items():
        if name not in plan.sizes or name in problem.sizes:
            free = [name for name in plan.sizes if name not in problem.sizes]
            raise UsageError(f"--tiles {name}={size}: {plan.algorithm} ({plan.schedule}) has {', '.join(free)}")
    return replace(plan, sizes={**plan.sizes, **streams})


def no_longer(tiles: Mapping[str, int], algo: str, lengths: Mapping[str, int]) -> dict[str, int]:
    """Tile sizes, none of them longer than the axis that it cuts.

    Args:
        lengths: of n, n_k, d and d_v.
    """
    from iosim.registry import find

    axes = {name: axis for each in _tiled(find(algo)) for s in each.schedules for name, axis in s.axes.items()}
    return {name: min(size, lengths.get(axes.get(name, ""), size)) for name, size in tiles.items()}


def _tiled(algorithm: Algorithm) -> Iterator[Tiled]:
    if isinstance(algorithm, Best):
        for each in algorithm.of:
            yield from _tiled(each)
    elif isinstance(algorithm, Tiled):
        yield algorithm


def work_of(case: Case) -> Work:
    """The kernels of a case.

    Raises:
        UsageError: the algorithm is not for this, or has no such tiles.
        NotLowerable: no kernel does that.
    """
    from iosim.interpret.triton import lower

    plan, problem = plan_of(case)
    kernels = lower(plan.program, plan.sizes, dtype=case.dtype, num_warps=case.num_warps, num_stages=case.num_stages)
    return Work(case=case, problem=problem, plan=plan, kernels=kernels, coefficients=problem.weights)
