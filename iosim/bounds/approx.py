"""Lower bounds for polynomial approximate attention, each for the class of schedules that it names.

exp(q.k) is replaced by a polynomial of degree g with no coefficient zero: r = C(d+g, g) monomials. A schedule of any of
these classes works in two stages: it adds the rows of K and V into *sums* W, and uses these for the rows of Q. It is a
straight-line program that is right for all inputs; words of fast memory are functions of one row, sums, or parts of the
outputs of one query; a sum is used only when it holds all rows of K (or at least m of them: *chunked*). A part of an output
is any sum of c(q_i) W_x; it may be multiplied by words of its row and added to another one (*nested* evaluation, as by
Horner's rule).

    monomials      Words of a row are k^beta, k^beta v_l, q^beta with |beta| <= g; any products of words of one row may be
                   formed, stored, loaded and formed again. The sums are W[alpha,l] = sum_j k_j^alpha v_jl.
    V-linear sums  Words of a row of K and V are any smooth functions of k_j, and these times v_jl summed over l; the sums
                   are any linear functions of V, added in any pieces. Words of a row of Q are any smooth functions.
    feature sums   What is added to a sum may be any smooth function of the row; what is not linear in V cancels in the end.
    one-shot       No k_j^alpha v_jl is added to W[alpha,l] twice; without this, sums may be computed again at will.

Each class contains those that it is said to generalise, so a bound for it holds for them. What is outside of all of them,
with programs that show it: sums used after a few rows (attention computed pair by pair), and additions that mix rows.

The count. kappa(s) is the most products k^alpha v_l that s words of one row give (`products_of`), and

    T(X) = max over w of (X - w) min(kappa(s), w)/s  over s >= 1

the most that any X words can contribute, w of them sums. A schedule is cut into segments of M + F words each, of which on
average at least F are moves (`proofs.approx_model`), so that there are at least S = ceil((n_q + n_k) r d_v / T(M + F))
segments. F is free: for each setting the best one is chosen.

Columns l are those of V only: the sum of ones, for the normaliser, needs no word of V, and is not counted.
The proofs are in `proofs.approx_one_shot` and its neighbours.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, Literal

from iosim.bounds.bound import NAMES, Bound, Condition, Letters, Property, Setting, Sized, Sizes
from iosim.bounds.envelope import Envelope

_SOURCE = "iosim, proofs.approx_one_shot, approx_recomputed, approx_classes"
# Every product is added once to a sum of monomials: the least of the classes.
SUMS_OF_MONOMIALS: frozenset[Property] = frozenset({"feature sums", "V-linear sums", "monomials", "one-shot"})

LETTERS = (*NAMES, "r", "m")
COUNTED = (*LETTERS, "F", "S")
MAX_DEGREE = 64  # of a polynomial in place of the exponential
_LENGTHS = 2**12  # lengths of a segment that are tried, at most

Words = Literal["linear", "smooth"]


def products_of(s: int, g: int, d: int, labels: int, words: Words = "linear") -> int:
    """kappa(s): the most products k^alpha v_l, |alpha| <= g, that are made of s words of one row.

    t words of K and u = s - t of V give C(t+g, g) u; most for t = floor(g s/(g+1)), or d, with which all r monomials are
    there. If what is added need not be linear in V, s words give up to C(s+g+1, g+1) - 1.

    Args:
        s: words.
        g: degree of the polynomial.
        d: columns of K.
        labels: r d_v, all products that there are.
        words: whether sums are linear in V.
    """
    if words == "smooth":
        return min(math.comb(s + g + 1, g + 1) - 1, labels)
    t = min(d, g * s // (g + 1))
    return min(math.comb(t + g, g) * (s - t), labels)


@lru_cache(maxsize=64)
def _products(g: int, d: int, labels: int, words: Words) -> tuple[list[int], Envelope]:
    """kappa(1), kappa(2), ... up to the first that is all labels, and (X - kappa(s)) kappa(s)/s at any X."""
    found: list[int] = []
    while not found or found[-1] < labels:
        found.append(products_of(len(found) + 1, g, d, labels, words))
    return found, Envelope([(kappa, s) for s, kappa in enumerate(found, 1)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How much words of fast memory can contribute, and how much there is to do.

    Attributes:
        g, d: degree, and columns of K.
        labels: r d_v, the sums.
        total: contributions of all segments.
        M: words of fast memory.
        words: whether sums are linear in V.
    """

    g: int
    d: int
    labels: int
    total: int
    M: int
    words: Words = "linear"

    def of(self, X: int) -> Fraction:
        """T(X): the most that X words can contribute.

        Example:
            >>> Work(g=1, d=9, labels=90, total=1, M=1).of(100)  # 30 sums and 7 rows, 10 words of each give 30 products
            Fraction(210, 1)
        """
        return Fraction(*self._of(X))

    def _of(self, X: int) -> tuple[int, int]:
        """T(X) as a numerator and a denominator.

        With w <= X/2 words for sums, (X - w) w is the greatest at w = X/2: an s whose kappa is larger is worth less with
        w = kappa than with that, and of those the first s is worth the most.
        """
        half = X // 2
        if half < 1:
            return 0, 1
        known, envelope = _products(self.g, self.d, self.labels, self.words)
        best, over = envelope.at(X)
        first = bisect_left(known, half) + 1
        if first <= len(known) and (X - half) * half * over > best * first:
            return (X - half) * half, first
        return best, over

    def segments(self, F: int) -> int:
        """S: the fewest segments of M + F words."""
        best, over = self._of(self.M + F)
        whole = best // over  # contributions in one segment
        return -(-self.total // whole) if whole else 0

    def best(self) -> tuple[int, int] | None:
        """F and S with the greatest F (S - 1); None if there is no need for two segments.

        S falls with F, so that an interval of lengths is worth no more than its last F with its first S: the search leaves
        out those worth less than what is found. It tries 4,096 lengths at most; every one gives a bound.
        """
        if self.segments(1) < 2:
            return None
        most = self._longest()
        seen = {F: self.segments(F) for F in (1, most)}
        intervals = [(-most * (seen[1] - 1), 1, most)]
        best = max(seen, key=lambda F: F * (seen[F] - 1))
        while intervals and len(seen) < _LENGTHS:
            worth, low, high = heapq.heappop(intervals)
            if -worth <= best * (seen[best] - 1):
                break
            middle = (low + high) // 2
            if middle == low:
                continue
            seen[middle] = self.segments(middle)
            best = max(best, middle, key=lambda F: F * (seen[F] - 1))
            for a, b in ((low, middle), (middle, high)):
                heapq.heappush(intervals, (-b * (seen[a] - 1), a, b))
        return best, seen[best]

    def _longest(self) -> int:
        """A length beyond which none is better.

        Either one segment is enough; or F/T(M + F), which grows up to some F and falls from there on, as T is convex, is so
        low that F (S - 1) < F total/(T(M + F) - 1) is below what has been found.
        """
        F, found = 1, 0
        before = Fraction(0)
        while True:
            S, most = self.segments(F), self.of(self.M + F)
            found = max(found, F * (S - 1))
            rate = F / most if most else Fraction(0)
            if S < 2 or (most > 1 and rate < before and F * self.total <= found * (most - 1)):
                return F
            before, F = rate, 2 * F


@lru_cache(maxsize=1024)
def _best(work: Work) -> tuple[int, int] | None:
    return work.best()


def _rows(x: Letters) -> Any:
    """Keys that a query meets: the rows that a whole sum holds."""
    return x.N / x.n_q


def _once(x: Letters) -> Any:
    """F (S - 1), less the sums that are built, used and dropped within one stay: each holds m rows of its own."""
    return x.F * (x.S - 1) - x.n_k * x.r * x.d_v / x.m


def _again(x: Letters) -> Any:
    """F (S - 1), less the share of such sums: words of at least m - M of their rows are loaded meanwhile."""
    return (1 - x.M / x.m) * x.F * (x.S - 1)


def _more_rows_than_words(x: Letters) -> tuple[Condition, ...]:
    return ((x.m, x.M),)


def _whole(x: Letters) -> tuple[Condition, ...]:
    return ((x.m, x.M), (x.m, _rows(x)))


def _counted(
    name: str,
    theorem: str,
    about: str,
    *needs: Property,
    formula: Callable[[Letters], Any] = _once,
    conditions: Callable[[Letters], tuple[Condition, ...]] = lambda _: (),
) -> Bound:
    return Bound(
        name=name,
        formula=formula,
        conditions=conditions,
        theorem=theorem,
        source=_SOURCE,
        requires=frozenset({"feature sums", *needs}),
        excludes=frozenset({"tied"}),
        letters=COUNTED,
        about=about,
    )


ONE_SHOT = _counted(
    "approximate_io_one_shot",
    "approximate_io_with_one_shot_sums",
    "sums of monomials, one-shot",
    "V-linear sums",
    "monomials",
    "one-shot",
)

AGAIN = _counted(
    "approximate_io",
    "approximate_io_with_sums_computed_again",
    "sums of monomials, computed again at will",
    "V-linear sums",
    "monomials",
    formula=_again,
    conditions=_more_rows_than_words,
)

LINEAR = _counted(
    "approximate_io_with_sums_linear_in_v",
    "approximate_io_with_any_features",
    "sums of any features that are linear in V, computed again at will",
    "V-linear sums",
    formula=_again,
    conditions=_whole,
)

SMOOTH = _counted(
    "approximate_io_with_sums_of_any_functions_of_rows",
    "approximate_io_with_sums_of_any_functions",
    "sums of any smooth functions of single rows, computed again at will",
    formula=_again,
    conditions=_whole,
)

SEGMENTS = (ONE_SHOT, AGAIN, LINEAR, SMOOTH)


def _not_resident(name: str, width: str, order: Callable[[Letters], Condition]) -> Bound:
    """Where each word of Q, K, V and O moves once, all sums are in fast memory before the last row of K and V is whole.

    Args:
        width: the letter of the smaller one of d and d_v.
        order: that it is.
    """
    return Bound(
        name=name,
        formula=lambda x: (x.n_q + x.n_k) * (x.d + x.d_v) + 1,
        conditions=lambda x: (
            (x.r * (x.d_v + 1) + x[width] - 1, x.M),
            (_rows(x), x.M + 2),
            (x.N / x.n_k, x.M + 1),
            (x.m, _rows(x)),
            order(x),
        ),
        theorem="each_word_moves_once_only_if_all_sums_are_resident",
        source=_SOURCE,
        requires=frozenset({"feature sums", "V-linear sums", "monomials"}),
        excludes=frozenset({"tied"}),
        letters=LETTERS,
        about="sums of monomials, computed again at will",
    )


NOT_RESIDENT = (
    _not_resident("approximate_io_with_less_memory_than_sums", "d", lambda x: (x.d_v, x.d)),
    _not_resident("approximate_io_with_less_memory_than_sums_narrow_values", "d_v", lambda x: (x.d, x.d_v + 1)),
)


def constant(g: int) -> Fraction:
    """A_g^(g+1) = (g+1)^(g+1) g!/g^g: kappa(s) <= ((s + (g+1)/2)/A_g)^(g+1).

    Example:
        >>> [round(float(constant(g)) ** (1 / (g + 1)), 4) for g in (1, 2, 3, 4)]
        [2.0, 2.3811, 2.7464, 3.1143]
    """
    return Fraction((g + 1) ** (g + 1) * math.factorial(g), g**g)


def least_memory(g: int) -> int:
    """The least M for which the closed forms are proved: M >= 2 (g+1) (A_g M^(1/(g+1)) - (g+1)/2).

    Example:
        >>> [least_memory(g) for g in CLOSED_DEGREES]
        [56, 40, 39, 41]
    """
    M = 1
    while (Fraction(M, 2 * (g + 1)) + Fraction(g + 1, 2)) ** (g + 1) < constant(g) * M:
        M += 1
    return M


CLOSED_DEGREES = (1, 2, 3, 4)


def steady_state(g: int, x: Letters) -> tuple[Any, Any]:
    """F_0 and rhohat(M): the best words of a segment, less M, and what a word contributes beside M sums, in closed form."""
    B = Fraction(g + 1, 2)
    z = x.root(x.number(constant(g)) * x.M, g + 1)
    F = (g + 1) * x.M * (z - x.number(B)) / (g * z - x.number((g + 1) * B))
    return F, x.M / (z - x.number(B))


@cache
def closed_form(g: int) -> Bound:
    """The counted bound for one-shot sums of monomials of that degree as a formula.

    With z = A_g M^(1/(g+1)) and B = (g+1)/2, M sums in fast memory serve a row at z - B words, which is M/(z - B)
    contributions a word; segments of M + F_0 words with F_0 = (g+1) M (z - B)/(g z - (g+1) B) are the best.
    """

    def formula(x: Letters) -> Any:
        F, rate = steady_state(g, x)
        work = (1 - 1 / (4 * F**2)) * ((x.n_q + x.n_k) * x.r * x.d_v / rate)
        return work - F - 1 - x.n_k * x.r * x.d_v / x.m

    return replace(
        ONE_SHOT,
        name=f"{ONE_SHOT.name}_in_closed_form_degree_{g}",
        formula=formula,
        conditions=lambda x: ((x.M, x.number(Fraction(least_memory(g)))),),
        letters=LETTERS,
    )


def bounds(g: int) -> tuple[Bound, ...]:
    """All bounds for a polynomial of degree g >= 1; one of degree 0 needs neither Q nor K."""
    return (*SEGMENTS, *([closed_form(g)] if g in CLOSED_DEGREES else []), *NOT_RESIDENT)


def work(bound: Bound, setting: Setting) -> Work:
    """What the segments of one of `SEGMENTS` can do, in this setting."""
    assert setting.g is not None
    labels, linear = setting.sizes["r"] * setting.d_v, "V-linear sums" in bound.requires
    return Work(
        g=setting.g,
        d=setting.d,
        labels=labels,
        total=(setting.n_q + setting.n_k if linear else setting.n_k) * labels,
        M=setting.M,
        words="linear" if linear else "smooth",
    )


def applicable(setting: Setting, *, strongest: bool = False) -> Iterator[tuple[Bound, int, Sized]]:
    """The bounds that say something about this setting, what they say in words, and the sizes with the best F and its S.

    Args:
        setting: the problem, the fast memory, and the classes.
        strongest: whether to leave out those with segments of which another one, for a smaller class, says no less.
    """
    if not setting.g or setting.properties.isdisjoint({"feature sums"}):
        return
    said = [bound for bound in bounds(setting.g) if bound.applies(setting)]
    counted = [bound for bound in said if bound.letters == COUNTED]
    for bound in said:
        sized: Sized = setting
        if strongest and bound in counted and any(bound.requires < other.requires for other in counted):
            continue
        if bound.letters == COUNTED:
            best = _best(work(bound, setting))
            if best is None:
                continue
            sized = Sizes(sizes={**setting.sizes, **dict(zip("FS", best, strict=True))}, properties=setting.properties)
        words = bound.words(sized)
        if words > 0:
            yield bound, words, sized
