"""What is asked for? Flags and data turned into a problem, a polynomial and a plan, each checked where it comes in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, SupportsIndex

from iosim.algorithm import Algorithm, assignments
from iosim.bounds.approx import MAX_DEGREE
from iosim.defaults import DEFAULT_D, DEFAULT_EPS, DEFAULT_LOGIT_BOUND
from iosim.errors import UsageError
from iosim.masks import FULL, AnyMask, parse_mask
from iosim.plan import Plan, fewest
from iosim.problem import Problem
from iosim.progress import Progress, silent
from iosim.refusals import at_most_one, does_not_fit, given, missing, refuse
from iosim.units import (
    MAX_COUNT,
    Dtype,
    Number,
    flag_of,
    format_words,
    parse_each,
    parse_numbers,
    parse_whole,
)

if TYPE_CHECKING:
    from iosim.approximation.logits import LogitRange
    from iosim.approximation.minimax import ExpPolynomial
    from iosim.numeric.inputs import AttentionInput

TILE_RULES = ("best", "paper")
WITH_INPUT = "data with --input"  # which may stand in place of --n
_MAX_D_APPROXIMATE = 2**13  # block designs are tried one after the other, d of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is asked for of the sizes of a problem; None where nothing is said.

    Attributes:
        n, n_k, d, d_v: as in `Problem`.
        batch: sequences.
        heads: query heads of a sequence.
        kv_heads: key heads of a sequence, a divisor of `heads`.
        mask: which keys a query meets.
        tied: whether V is the first d_v columns of K.
    """

    n: int | None = None
    n_k: int | None = None
    d: int | None = None
    d_v: int | None = None
    batch: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    mask: AnyMask = FULL
    tied: bool = False

    @property
    def counts(self) -> dict[str, int | None]:
        """The sizes by flag."""
        return {flag_of(name): getattr(self, name) for name in COUNTS}


COUNTS = ("n", "n_k", "d", "d_v", "batch", "heads", "kv_heads")  # of a `Shape`


def parse_shape(counts: Mapping[str, Number | None], *, mask: str | AnyMask = FULL, tied: bool = False) -> Shape:
    """What flags ask for of the sizes.

    Args:
        counts: by name, one of `COUNTS` each.
        mask: as text, or itself.

    Raises:
        UsageError: one can't be read; the message begins with its flag.
    """
    parsed = parse_mask(mask, where="--mask") if isinstance(mask, str) else mask
    return Shape(**parse_each(counts), mask=parsed, tied=tied)


def make_problem(shape: Shape, data: AttentionInput | None, *, instead: str = "") -> Problem:
    """From the flags, or from the data, which they must not contradict.

    Args:
        instead: what could be given in place of n.

    Raises:
        UsageError: no n, a size that is not a whole number from 1 to 2^50, or a contradiction.
    """
    for flag, count in shape.counts.items():
        if count is not None:
            parse_whole(count, where=flag, most=MAX_COUNT, shown="2^50")
    if data is not None:
        return _problem_of(shape, data)
    if shape.n is None:
        raise missing("--n", like="65536", instead=instead)
    heads = shape.heads or 1
    kv_heads = shape.kv_heads or heads
    if heads % kv_heads:
        raise UsageError(f"--kv-heads {kv_heads}: allowed: divisors of --heads {heads}")
    return Problem(
        n=shape.n,
        d=shape.d or DEFAULT_D,
        n_k=shape.n_k or 0,
        d_v=shape.d_v or 0,
        batch=shape.batch or 1,
        kv_heads=kv_heads,
        group=heads // kv_heads,
        mask=shape.mask,
        tied=shape.tied,
    )


def _problem_of(shape: Shape, data: AttentionInput) -> Problem:
    found = {"--n": data.n, "--n-k": data.n_k, "--d": data.d, "--d-v": data.d_v}
    for flag, count in shape.counts.items():
        if count is not None and flag not in found:
            raise UsageError(f"{flag} {count}: the heads are those of {data.source}; leave {flag} out with --input")
        if count is not None and count != found[flag]:
            raise UsageError(f"{flag} {count}: {data.source} has {found[flag]}; leave {flag} out with --input")
    if shape.tied and (data.d_v > data.d or (data.K[:, :, : data.d_v] != data.V).any()):
        raise UsageError(f"--tied: V of {data.source} is not the first {data.d_v} columns of K")
    return Problem(
        n=data.n,
        d=data.d,
        n_k=data.n_k,
        d_v=data.d_v,
        kv_heads=data.heads // data.group,
        group=data.group,
        mask=shape.mask,
        tied=shape.tied,
    )


def parse_tiles(given: str | Mapping[str, SupportsIndex]) -> str | Mapping[str, int]:
    """The tile sizes that are asked for by name, or the rule that is named.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(given, str) and "=" not in given:
        if given not in TILE_RULES:
            raise UsageError(f"--tiles {given}: allowed: {', '.join(TILE_RULES)}, or sizes like B_r=32,B_c=1")
        return given
    return parse_numbers(given, where="--tiles", least=1, like="B_r=32")


def parse_settings(given: str | Mapping[str, SupportsIndex] | None) -> Mapping[str, int]:
    """The settings of a method, by name.

    Raises:
        UsageError: not such a text.
    """
    return {} if given is None else parse_numbers(given, where="--set", least=0, like="features=256")


def check_options(
    *,
    degree: int | None = None,
    eps: float | None = None,
    logit_bound: float | None = None,
    seed: int | None = None,
    rows: int | None = None,
    numeric: bool = True,
    max_flops: float | None = None,
) -> None:
    """Whether each option that is given is in its range, none contradicts another, and each says something beside them.

    Raises:
        UsageError: one is not, or two do.
    """
    from iosim.approximation.minimax import MAX_LOGIT_BOUND, MIN_LOGIT_BOUND

    if degree is not None:
        parse_whole(degree, where="--degree", least=0, most=MAX_DEGREE)
    if eps is not None and not 0 < eps < 1:  # refuses nan as well
        raise UsageError(f"--eps {eps}: allowed: above 0 and below 1")
    if logit_bound is not None and not MIN_LOGIT_BOUND <= logit_bound <= MAX_LOGIT_BOUND:
        raise UsageError(f"--logit-bound {logit_bound}: allowed: {MIN_LOGIT_BOUND:g} to {MAX_LOGIT_BOUND:g}")
    at_most_one(degree=degree, eps=eps)
    if seed is not None:
        parse_whole(seed, where="--seed", least=0)
    if max_flops is not None and not max_flops > 0:
        raise UsageError(f"--max-flops {max_flops}: allowed: numbers above 0")
    if rows is not None:
        parse_whole(rows, where="--rows")
    if not numeric:
        refuse(given(seed=seed, rows=rows, max_flops=max_flops), "with --no-numeric", "with --numeric")


def stated(
    algorithm: Algorithm,
    problem: Problem,
    *,
    degree: int | None = None,
    eps: float | None = None,
    logit_bound: float | None = None,
    logits: LogitRange | None = None,
    settings: Mapping[str, int] | None = None,
) -> tuple[Problem, ExpPolynomial | None]:
    """What an algorithm is to compute: the problem with all that the algorithm takes besides, and its polynomial.

    Args:
        problem: the sizes.
        degree, eps, logit_bound, logits: as of `choose_polynomial`.
        settings: of the algorithm's method, by name; the others are as by default.

    Raises:
        UsageError: as of `choose_polynomial` and `with_settings`.
    """
    polynomial = choose_polynomial(algorithm, degree=degree, eps=eps, logit_bound=logit_bound, logits=logits)
    return with_settings(algorithm, with_polynomial(problem, polynomial), settings or {}), polynomial


def planned(
    algorithm: Algorithm,
    problem: Problem,
    capacity: int,
    tiles: str | Mapping[str, int] = "best",
    *,
    where: str,
    word: Dtype,
    degree: int | None = None,
    eps: float | None = None,
    progress: Progress = silent,
    **asked: Any,
) -> tuple[Problem, ExpPolynomial | None, Plan]:
    """What an algorithm is to compute, as `stated` has it, and the schedule with which it does, as `choose_plan` has it.

    Args:
        asked: what else `stated` takes.
        progress: called before tiles are chosen, which may take a while.

    Raises:
        UsageError: as of `stated` and `choose_plan`.
    """
    problem, polynomial = stated(algorithm, problem, degree=degree, eps=eps, **asked)
    why = ""
    if polynomial is not None and degree is None:
        R = f"{polynomial.logit_bound:.4g}"
        why = f"; a relative error of {eps or DEFAULT_EPS:g} on [-{R}, {R}] needs that degree"
    progress("choosing tiles", 0.0)
    return problem, polynomial, choose_plan(algorithm, problem, capacity, tiles, where=where, word=word, why=why)


def choose_polynomial(
    algorithm: Algorithm,
    *,
    degree: int | None = None,
    eps: float | None = None,
    logit_bound: float | None = None,
    logits: LogitRange | None = None,
) -> ExpPolynomial | None:
    """In place of the exponential: of the degree asked for, or of the least one whose relative error is at most `eps`.

    None for algorithms without a polynomial.

    Args:
        logit_bound: R; if not given, what the data have, else 1.
        logits: of the data, if there are any.

    Raises:
        UsageError: the algorithm takes no polynomial, R is less than the data have, or no degree reaches `eps`.
    """
    from iosim.approximation.minimax import MAX_LOGIT_BOUND, MIN_LOGIT_BOUND, minimax_exp

    if not algorithm.takes_polynomial:
        refuse_polynomial([algorithm], degree=degree, eps=eps)
        if logit_bound is not None and logits is not None:
            what = "is exact" if algorithm.method is None else f"has the settings {_settings(algorithm)} (--set)"
            raise UsageError(f"--logit-bound {logit_bound}: {algorithm.name} {what}, and the data are what they are")
        return None
    measured = None if logits is None else max(logits.worst.max_abs, MIN_LOGIT_BOUND)
    if measured is not None and measured > MAX_LOGIT_BOUND:
        raise UsageError(
            f"--input: the largest |q.k|/sqrt(d) is {measured:.4g}, the exponential of which overflows; "
            f"allowed for approximate algorithms: up to {MAX_LOGIT_BOUND:g}"
        )
    if logit_bound is not None and measured is not None and logit_bound < measured:
        raise UsageError(
            f"--logit-bound {logit_bound}: the largest |q.k|/sqrt(d) of the input is {measured:.4g}; "
            "leave it out to use that"
        )
    bound = logit_bound or measured or DEFAULT_LOGIT_BOUND
    if degree is not None:
        return minimax_exp(degree, bound)
    target = DEFAULT_EPS if eps is None else eps
    found = least_degree(target, bound)
    if found is None:
        whose = "" if measured is None or logit_bound is not None else ", the largest |q.k|/sqrt(d) of the input"
        raise UsageError(
            f"--eps {target:g}: no polynomial of degree {MAX_DEGREE} or less with float64 coefficients has so small a "
            f"relative error up to {bound:.4g}{whose}; allowed: a larger --eps, or --degree"
        )
    return found


def refuse_polynomial(algorithms: Sequence[Algorithm], **flags: object) -> None:
    """Refuses flags about a polynomial, by the names of their parameters, where none of the algorithms has one.

    Raises:
        UsageError: none has, and a flag is given.
    """
    if any(algorithm.takes_polynomial for algorithm in algorithms):
        return
    names, verb = ", ".join(algorithm.name for algorithm in algorithms), "has" if len(algorithms) == 1 else "have"
    own = [_settings(algorithm) for algorithm in algorithms if algorithm.method]
    but = f", but the settings {own[0]} (--set)" if own and len(algorithms) == 1 else ""
    for name, value in flags.items():
        if value is not None:
            has = f"{names} {verb} no polynomial{but}"
            raise UsageError(f"{flag_of(name)} {value}: {has}; allowed: with algorithms that have one, like approx")


def least_degree(eps: float, logit_bound: float, most: int = MAX_DEGREE) -> ExpPolynomial | None:
    """The polynomial of the least degree, at most `most`, whose relative error is at most `eps`; None if none is."""
    from iosim.approximation.minimax import smallest_degree

    try:
        return smallest_degree(eps, logit_bound, max_degree=most)
    except UsageError:  # eps and the bound are in their ranges: no degree will do
        return None


def choose_plan(
    algorithm: Algorithm,
    problem: Problem,
    capacity: int,
    tiles: str | Mapping[str, int],
    *,
    where: str,
    word: Dtype,
    why: str = "",
) -> Plan:
    """The plan with the tiles that are asked for: "best", "paper", or sizes by name.

    Args:
        where: what to call the capacity in an error.
        word: the format of a word.
        why: what else an error about the capacity should say.

    Raises:
        UsageError: no tiles fit, or not these.
    """
    if algorithm.takes_polynomial and problem.d > _MAX_D_APPROXIMATE:
        raise UsageError(f"--d {problem.d}: allowed for {algorithm.name}: at most {_MAX_D_APPROXIMATE:,}")
    if not isinstance(tiles, Mapping):
        algorithm.check_supported(problem)
    return _one_plan(algorithm, problem, capacity, tiles, where=where, word=word, why=why).times(problem.instances)


def _one_plan(
    algorithm: Algorithm,
    problem: Problem,
    capacity: int,
    tiles: str | Mapping[str, int],
    *,
    where: str,
    word: Dtype,
    why: str,
) -> Plan:
    """For one instance."""
    if isinstance(tiles, Mapping):
        plan = algorithm.explicit(problem, tiles)
        if plan.peak_words > capacity:
            raise UsageError(
                f"--tiles {assignments(tiles)}: peak {format_words(plan.peak_words, word)}, "
                f"capacity {format_words(capacity, word)}"
            )
        return plan
    if tiles == "paper":
        return algorithm.published(problem, capacity)
    parse_tiles(tiles)
    best = fewest(algorithm.plans(problem, capacity))
    if best is None:
        who = f"{algorithm.name} at d={problem.d}{algorithm.chosen(problem)}"
        raise does_not_fit(where, who, algorithm.least_capacity(problem), word, why=why)
    return best


def with_polynomial(problem: Problem, polynomial: ExpPolynomial | None) -> Problem:
    """`problem` with the polynomial's degree and coefficients."""
    if polynomial is None:
        return problem
    return replace(problem, degree=polynomial.degree, coefficients=polynomial.coefficients)


def with_settings(algorithm: Algorithm, problem: Problem, given: Mapping[str, int]) -> Problem:
    """`problem` with the settings of the algorithm's method: those that are given, and the others by default.

    Raises:
        UsageError: the algorithm has no such setting, or the number is not allowed.
    """
    if algorithm.method is not None:
        return algorithm.method.checked(problem, given, name=algorithm.name)
    for name, value in given.items():
        has = "a polynomial, chosen by --degree or --eps" if algorithm.approximate else "no settings"
        raise UsageError(f"--set {name}={value}: {algorithm.name} has {has}")
    return problem


def _settings(algorithm: Algorithm) -> str:
    return ", ".join(option.name for option in algorithm.method.options) if algorithm.method else ""


def measured_logits(data: AttentionInput, say: Progress) -> LogitRange:
    """The range of the scores of the data."""
    from iosim.approximation.logits import logit_range

    return logit_range(data, lambda done, total: say("measuring the logits", done / total))
