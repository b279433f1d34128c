"""What is run on a GPU: one algorithm at one size, and the list of them that the whole validation is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from iosim.algorithm import Algorithm, Best
from iosim.request import Shape, make_problem, stated
from iosim.tiled import Tiled

if TYPE_CHECKING:
    from iosim.interpret.triton import Kernels
    from iosim.plan import Plan
    from iosim.problem import Problem

LOGIT_BOUND = 1.0  # R of the inputs of approximate algorithms


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One algorithm at one size.

    Attributes:
        algorithm: its name.
        n, d: queries of a head, head dimension.
        n_k: keys; None for as many as queries.
        heads: that share nothing.
        mask: which keys a query meets.
        dtype: format of the words in slow memory; statistics and sums are in fp32.
        degree: of the polynomial, for approximate algorithms.
        fast_memory_words: M, that tiles are chosen for; None for no limit, or if all are given.
        tiles: sizes by name, also of pieces that pass; others are chosen.
        schedule: the only one that these are chosen for; None for all.
        num_warps, num_stages: of Triton; None for what the lowering takes.
        sdpa: whether PyTorch's fused attention is measured beside it.
    """

    algorithm: str
    n: int
    d: int
    n_k: int | None = None
    heads: int = 1
    mask: str = "full"
    dtype: str = "bf16"
    degree: int | None = None
    fast_memory_words: int | None = None
    tiles: Mapping[str, int] = field(default_factory=dict, hash=False)
    schedule: str | None = None
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
        parts += [f"M={self.fast_memory_words}w"] if self.fast_memory_words is not None else []
        parts += [f"{name}={size}" for name, size in self.tiles.items()]
        parts += [f"{self.num_warps} warps"] if self.num_warps is not None else []
        parts += [f"{self.num_stages} stages"] if self.num_stages is not None else []
        return " ".join([self.algorithm, *([self.schedule] if self.schedule is not None else []), *parts, self.dtype])

    @property
    def shape(self) -> Shape:
        """Its sizes and its mask."""
        from iosim.masks import parse_mask

        mask = parse_mask(self.mask, where="--mask")
        return Shape(n=self.n, n_k=self.n_k, d=self.d, heads=self.heads, mask=mask)

    @property
    def pairs(self) -> int:
        """Pairs of a query and a key that meet, over all heads."""
        return make_problem(self.shape, None).pairs

    @property
    def useful_flops(self) -> int:
        """Of the two matrix products of exact attention."""
        return 4 * self.pairs * self.d

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


def problem_of(case: Case) -> Problem:
    """What a case computes.

    Raises:
        UsageError: the algorithm is not for this.
    """
    from iosim.registry import find

    algorithm = find(case.algorithm)
    bound = LOGIT_BOUND if algorithm.takes_polynomial else None
    return stated(algorithm, make_problem(case.shape, None), degree=case.degree, logit_bound=bound)[0]


def work_of(case: Case) -> Work:
    """The program and the kernels of a case.

    Raises:
        UsageError: the algorithm is not for this, or has no such tiles.
        NotLowerable: no kernel does that.
    """
    from iosim.lowering.ask import kernel_run
    from iosim.registry import find
    from iosim.units import dtype

    problem = problem_of(case)
    made = kernel_run(
        find(case.algorithm),
        problem,
        word=dtype(case.dtype, where="--dtype"),
        capacity=case.fast_memory_words,
        tiles=case.tiles or "best",
        schedule=case.schedule,
        num_warps=case.num_warps,
        num_stages=case.num_stages,
    )
    plan = replace(made.plan, sizes=made.sizes)
    return Work(case=case, problem=problem, plan=plan, kernels=made.kernels, coefficients=problem.coefficients)


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
