"""Which method is the cheapest that is good enough, and from which n does it pay? Head by head.

Good enough means: as good as attention whose weights exp(q.k/sqrt(d)) are each off by a relative error of at most eps. Such
weights change no word of the output by more than (1 - sqrt(1 - eps^2))/eps times the range of its column of V (see
`proofs.approx_error`), and that is the error that is allowed. The polynomial of the least degree that reaches eps is within
it for all data with such logits; of the other methods, the error is measured on these data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from iosim import registry, request
from iosim.algorithm import Algorithm
from iosim.approximation.measure import MeasuredPoint
from iosim.approximation.minimax import MIN_LOGIT_BOUND, softmax_output_error
from iosim.approximation.needed import MOST_DEGREE, MOST_FEATURES
from iosim.approximation.payoff import pays_from
from iosim.approximation.tradeoff import Tradeoff, approximate, tradeoff
from iosim.bounds.bound import Bound
from iosim.columns import bound_columns
from iosim.defaults import DEFAULT_LOGIT_BOUND
from iosim.display import Result
from iosim.errors import UsageError
from iosim.numeric.inputs import AttentionInput
from iosim.plan import Plan, fewest
from iosim.plan_bounds import bounds_for_all, greatest_for_all
from iosim.problem import Problem
from iosim.progress import Progress, silent
from iosim.refusals import does_not_fit
from iosim.request import least_degree, measured_logits, with_polynomial
from iosim.task import ATTENTION
from iosim.units import FP16, Dtype

if TYPE_CHECKING:
    from rich.console import RenderableType

_CLOSER = 8  # steps between n and 2n in which a bound is looked for that decides


@dataclass(frozen=True, slots=True, kw_only=True)
class Polynomial:
    """What the polynomial of the least degree that reaches eps costs, and where it pays. Units: words.

    Attributes:
        degree: the least that reaches eps; None if none up to 32 does.
        features: monomials of at most that degree in d variables.
        plan: the best schedule; None if none fits in the fast memory, or the features are hopelessly many.
        pays_from_n: from which n on it moves fewer words than the best exact schedule; None if not up to 2^50.
        loses_at_n: the largest n found, at most `pays_from_n`, at which no schedule of its class can move fewer words than
            the best exact schedule, by the lower bound; None if none is found.
        class_bound: that lower bound at the given n, and what it says; None if there is none.
    """

    degree: int | None
    features: int = 0
    plan: Plan | None = None
    pays_from_n: int | None = None
    loses_at_n: int | None = None
    class_bound: tuple[Bound, int] | None = None

    @property
    def io_words(self) -> int | None:
        """What it moves, for one head."""
        return None if self.plan is None else self.plan.io_words


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadAdvice:
    """What is said of one head.

    Attributes:
        head: its number.
        logit_bound: R, its greatest |q.k|/sqrt(d).
        allowed_error: that eps allows for it; None where there are no data.
        polynomial: what is proved to be good enough.
        measured: the cheapest of what is good enough as measured, if it moves fewer words than the polynomial and exact
            attention; None if there is none, or nothing was measured.
        tradeoff: what was measured on it, up to the first that is good enough; None if nothing was.
        exact_words: what the best exact schedule moves; None if none fits.
    """

    head: int
    logit_bound: float
    allowed_error: float | None
    polynomial: Polynomial
    measured: MeasuredPoint | None
    tradeoff: Tradeoff | None
    exact_words: int | None

    @property
    def best_words(self) -> int | None:
        """The fewest words of a method that is good enough, proved or measured; None if there is none."""
        found = [self.polynomial.io_words, None if self.measured is None else self.measured.io_words]
        return min((words for words in found if words is not None), default=None)

    @property
    def proved(self) -> bool:
        """Whether the cheapest method that is good enough is so for all data with such logits."""
        return self.best_words is not None and self.best_words == self.polynomial.io_words

    @property
    def gains(self) -> bool:
        """Whether some method is good enough with fewer words than exact attention."""
        return self.best_words is not None and (self.exact_words is None or self.best_words < self.exact_words)

    @property
    def choice(self) -> str:
        """The cheapest method that is good enough, exact attention if it is the cheapest; what is said if nothing fits."""
        if not self.gains:
            return "nothing fits" if self.exact_words is None else "exact"
        if self.proved and self.polynomial.plan is not None:
            return f"{self.polynomial.plan.algorithm} degree={self.polynomial.degree}"
        assert self.measured is not None
        settings = " ".join(f"{name}={value}" for name, value in self.measured.settings.items() if name != "seed")
        return f"{self.measured.algorithm} {settings}"

    def to_dict(self) -> dict[str, object]:
        """Plain numbers and text, with units in the key names."""
        p = self.polynomial
        return {
            "head": self.head,
            "logit_bound": self.logit_bound,
            "allowed_max_abs_error": self.allowed_error,
            "exact_io_words": self.exact_words,
            "choice": self.choice,
            "io_words": self.best_words if self.gains else self.exact_words,
            "gains": self.gains,
            "proved": self.proved if self.gains else True,
            "polynomial": {
                "degree": p.degree,
                "features": p.features,
                "io_words": p.io_words,
                "pays_from_n": p.pays_from_n,
                "loses_at_n": p.loses_at_n,
                **bound_columns(*(p.class_bound or (None, None))),
            },
            "measured": None
            if self.measured is None
            else {
                "algorithm": self.measured.algorithm,
                "settings": dict(self.measured.settings),
                "io_words": self.measured.io_words,
                "max_abs_error": self.measured.max_abs_error,
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Advice(Result):
    """What is said of a problem, head by head.

    Attributes:
        problem: of one head.
        source: of the data; None if there are none.
        fast_memory_words: M.
        eps: relative error of the weights that is allowed.
        dtype: of a word, for people.
    """

    problem: Problem
    source: str | None
    fast_memory_words: int
    eps: float
    heads: tuple[HeadAdvice, ...]
    dtype: Dtype = FP16

    @property
    def gaining(self) -> tuple[int, ...]:
        """The heads that gain."""
        return tuple(head.head for head in self.heads if head.gains)

    def to_dict(self) -> dict[str, object]:
        return {
            "n": self.problem.n,
            "d": self.problem.d,
            "data": self.source,
            "fast_memory_words": self.fast_memory_words,
            "eps": self.eps,
            "heads": len(self.heads),
            "by_head": self.rows(),
            "heads_that_gain": list(self.gaining),
        }

    def rows(self) -> list[dict[str, object]]:
        """One for each head."""
        return [head.to_dict() for head in self.heads]

    def report(self) -> RenderableType:
        from iosim.approximation.report import advice_report

        return advice_report(self)


def advise(
    problem: Problem,
    *,
    M: int,
    word: Dtype = FP16,
    where: str | None = None,
    eps: float,
    logit_bound: float | None = None,
    data: AttentionInput | None = None,
    algorithms: Sequence[Algorithm] | None = None,
    numeric: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """The cheapest method that is good enough, for each head.

    Args:
        problem: one head: n, d.
        M: fast memory. Units: words.
        word: the format of a word, for people.
        where: what to call M in an error; its words if not given.
        eps: relative error of the weights exp(q.k/sqrt(d)) that is allowed.
        logit_bound: R, if there are no data.
        data: Q, K and V of all heads, each looked at on its own; else seeded random ones with logits within R.
        algorithms: the approximate algorithms to look at; all registered ones if not given.
        numeric: whether to measure methods on the data; if not, only polynomials are looked at.
        seed: of random data, of the sample of rows, and of the methods' random numbers.
        progress: called with what is going on and its fraction done.

    Raises:
        UsageError: neither exact attention nor a method that is good enough runs in M; the message has the least for exact.
    """
    say = progress or silent
    request.check_options(eps=eps, logit_bound=logit_bound, seed=seed)
    one = replace(
        problem, batch=1, kv_heads=1, group=1
    )  # bounds are about all heads of a problem, and words here are for one
    chosen = approximate() if algorithms is None else list(algorithms)
    best = registry.best(ATTENTION)
    exact = fewest(best.plans(one, M))
    heads = []
    known: dict[int, Polynomial] = {}  # what a polynomial costs depends on its degree only
    for number, (own, R) in enumerate(_heads(problem, data, logit_bound, numeric, seed, say)):
        allowed = None if own is None else softmax_output_error(eps) * _range(own)
        needed = least_degree(eps, R, MOST_DEGREE)
        if needed is None:
            polynomial = Polynomial(degree=None)
        else:
            if needed.degree not in known:
                known[needed.degree] = _polynomial(with_polynomial(one, needed), M, chosen)
            polynomial = known[needed.degree]
        rivals = [polynomial.io_words, None if exact is None else exact.io_words]
        found = None
        if own is not None and allowed is not None and numeric:
            try:
                found = tradeoff(
                    own,
                    M=M,
                    algorithms=chosen,
                    logit_bound=R,
                    seed=seed,
                    below=min((words for words in rivals if words is not None), default=None),
                    enough=allowed,
                    progress=say,
                )
            except UsageError:  # nothing can be measured: too much work, nothing fits, or nothing moves as few words
                found = None
        heads.append(
            HeadAdvice(
                head=number,
                logit_bound=R,
                allowed_error=allowed,
                polynomial=polynomial,
                measured=None if found is None or allowed is None else found.cheapest(allowed),
                tradeoff=found,
                exact_words=None if exact is None else exact.io_words,
            )
        )
    if exact is None and not any(head.gains for head in heads):
        who, why = f"exact attention at d={problem.d}", "; nor does any method fit that is good enough"
        raise does_not_fit(where or f"M = {M:,}", who, best.least_capacity(one), word, why=why)
    return Advice(
        problem=problem,
        source=None if data is None else data.source,
        fast_memory_words=M,
        eps=eps,
        heads=tuple(heads),
        dtype=word,
    )


def _heads(
    problem: Problem, data: AttentionInput | None, logit_bound: float | None, numeric: bool, seed: int, say: Progress
) -> Iterator[tuple[AttentionInput | None, float]]:
    """The data of each head, if any, and R."""
    if data is None:
        from iosim.numeric.inputs import random_input

        R = DEFAULT_LOGIT_BOUND if logit_bound is None else logit_bound
        yield random_input(problem.n, problem.d, logit_bound=R, seed=seed) if numeric else None, R
        return
    for number in range(data.heads):
        keys = number // data.group
        own = replace(data, Q=data.Q[number][None], K=data.K[keys][None], V=data.V[keys][None])
        yield own, max(measured_logits(own, say).worst.max_abs, MIN_LOGIT_BOUND)


def _range(data: AttentionInput) -> float:
    """Of the column of V that has the smallest one: what is within its error is so everywhere."""
    import numpy as np

    return float(np.ptp(data.V[0], axis=0).min())


def _polynomial(problem: Problem, M: int, algorithms: Sequence[Algorithm]) -> Polynomial:
    """What the polynomial of the problem costs, and where it pays."""
    able = [a for a in algorithms if a.takes_polynomial and a.unsupported(problem) is None]
    best = _best(problem, M, able) if problem.features <= MOST_FEATURES else None
    if best is None:
        return Polynomial(degree=problem.degree, features=problem.features)
    algorithm, plan = best
    of_class = [found for found in bounds_for_all([algorithm], problem, M) if not found[0].compulsory]
    pays = pays_from(algorithm, problem.with_n(1), M)
    return Polynomial(
        degree=problem.degree,
        features=problem.features,
        plan=plan,
        pays_from_n=pays,
        loses_at_n=loses_at(algorithm, problem, M, pays),
        class_bound=max(of_class, key=lambda found: found[1], default=None),
    )


def _best(problem: Problem, M: int, able: Sequence[Algorithm]) -> tuple[Algorithm, Plan] | None:
    """The algorithm that moves the fewest words, and its plan; None if nothing fits."""
    plans = [(a, plan) for a in able if (plan := fewest(a.plans(problem, M)))]
    return min(plans, key=lambda found: found[1].io_words, default=None)


def loses_at(algorithm: Algorithm, problem: Problem, M: int, pays: int | None) -> int | None:
    """The largest n found at which no schedule of the algorithm's class can move fewer words than the best exact schedule.

    Looked for from `pays` downwards, in steps of a factor 2^(1/8), and then between two of them, to half a percent.
    """
    exact = registry.best(ATTENTION)

    def decided(n: int) -> bool:
        other = problem.with_n(n)
        plan = fewest(exact.plans(other, M))
        return plan is not None and plan.io_words <= greatest_for_all([algorithm], other, M, [])[1]

    high = pays if pays is not None else 2 * problem.n
    low = high - 1
    while low >= 1 and not decided(low):
        high, low = low, min(low - 1, int(low / 2 ** (1 / _CLOSER)))
    if low < 1:
        return None
    while high - low > max(1, low // 200):
        middle = (low + high) // 2
        low, high = (middle, high) if decided(middle) else (low, middle)
    return low
