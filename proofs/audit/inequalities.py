"""The theorems on exact attention, on one schedule: the segments of each proof, and every inequality asserted of them.

Notation, as in the proofs: Q_io traffic; M words of fast memory; N pairs that meet; a, b, c, e, s the numbers of Q, K,
V, O variables and of pairs that a segment touches; T1, T2 products Q_il K_jl and designated products P_ij V_jl in it,
T their sum; h segments of W moves, or of moves that weigh W. Squares are compared, never roots.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from iosim.bounds.exact import PLUS, PLUS_LARGE, TIED_VALUES, WIDE_VALUES
from iosim.interpret.words.events import Kind
from proofs.audit.ledger import Ledger
from proofs.audit.replay import History
from proofs.audit.segments import contents, cut_equally, cut_weights, touched_by_moves

# Weights of loads of Q and K where scores are never stored but computed again.
EPSILONS = (Fraction(1, 2), Fraction(1, 4))
PARTS = (1, 2)  # numbers of segments in a large fast memory

LARGE_FAST_MEMORY = (
    "large fast memory: W <= Q_io",
    "large fast memory: at most h segments",
    "large fast memory: a + b + c + e + s <= X",
    "large fast memory: p <= floor(a/d) floor(b/d) + s",
    "large fast memory: first completions <= p",
    "large fast memory: T^2 <= p c e",
    "large fast memory: beta d C + T <= X m/per",
    "large fast memory: completions are N, designated products N d_v",
    "large fast memory: N (beta d + d_v) <= h X m/per",
)
LARGE_FAST_MEMORY_TRAFFIC = ("large fast memory: W >= leading/M + 4M/5",)
ANY_FAST_MEMORY = (
    "any fast memory: W <= Q_io + alpha f'",
    "any fast memory: a + b + c + e + alpha s <= X",
    "any fast memory: T1^2 <= a b s",
    "any fast memory: T2^2 <= s c e",
    "any fast memory: T <= T_max",
    "any fast memory: T <= T_max(X) in the last segment of X words",
    "any fast memory: T1 >= f'' d",
    "any fast memory: f' <= f''",
    "any fast memory: designated products are N d_v",
)
ANY_FAST_MEMORY_TRAFFIC = (  # work for a fifth of a segment
    "any fast memory: W >= c T sqrt(alpha) + 3M/5",
    "any fast memory: Q_io >= f''(c d sqrt(alpha) - alpha) + c d_v N sqrt(alpha) + 3M/5",
)
ANY_FAST_MEMORY_BOUND = ("any fast memory: Q_io >= N(c (d + d_v) sqrt(alpha) - alpha) + 3M/5",)
ANY_FAST_MEMORY_UNTIED = ("any fast memory: T <= sqrt(s) (a + b + c + e)/2",)
ANY_FAST_MEMORY_TIED = ("tied values: T^2 <= 2 s b (a + e)",)
ANY_FAST_MEMORY_MANY_SEGMENTS = "any fast memory: W > (2h - 1) M"
NEVER_STORED = (
    "never stored: W1 <= Q_QK + f'",
    "never stored: a + b + s <= 3M",
    "never stored: T1^2 <= a b s",
    "never stored: T1^2 <= M^3",
    "never stored: T1 >= f'' d",
    "never stored: T2^2 <= c e s",
    "never stored: W <= Q_PV + n_q d_v + epsilon Q_QK",
    "never stored: built pairs <= floor(a/d) floor(b/d)",
    "never stored: built pairs <= delta M",
    "never stored: c + 2e + 2s <= (6 + 2 delta) M",
    "never stored: T2^2 <= 2 M^3 (1 + delta/3)^3",
    "never stored: W >= 2 sqrt(2) N d_v (1 + delta/3)^(-3/2)/sqrt(M) - 4M",
)
NEVER_STORED_ONCE = (  # no score is computed twice
    "never stored: each score that is used is created once",
    "never stored: W2 <= Q_PV + n_q d_v + 2N",
    "never stored: c + 2e + 2s <= 6M",
    "never stored: T2^2 <= 2 M^3",
)
NEVER_STORED_SCORES = ("never stored: W1 >= 2 T1/sqrt(M) + 3M/5",)
NEVER_STORED_VALUES = ("never stored: W2 >= 2 sqrt(2) N d_v/sqrt(M) + 6M/5",)
NEVER_STORED_MANY_SEGMENTS = (
    "never stored: W1 > M + (h-1) F",
    "never stored: W2 > 6M + (h-2) F",
    "never stored: W > (h-1) F",
)
WIDE_SUMS = (
    "wide sums: W <= Q_io + (w - 1) n_q d_v",
    "wide sums: a + b + c + w e + s <= X",
    "wide sums: p <= floor(a/d) floor(b/d) + s",
    "wide sums: C <= p",
    "wide sums: T^2 <= p c e",
    "wide sums: T_b <= e floor(b/d)",
    "wide sums: T_b <= c floor(a/d)",
    "wide sums: T_s <= s d_v",
    "wide sums: T_s^2 <= s c e",
    "wide sums: (d^2 - w v^2) C + (d + w d + 2 w v) T <= (a + w e)(b + c) + d^2 s + (1 + w) d T_s",
    "wide sums: (X - s)^2/4 >= (a + w e)(b + c)",
    "wide sums: completions are N, designated products N d_v",
    "wide sums: (X - s)^2/4 + d^2 s + (1 + w) d T_s <= X m/2",
    "wide sums: (d^2 - w v^2) C + (d + w d + 2 w v) T <= X m/2",
    "wide sums: N (d^2 - w v^2) + N d_v (d + w d + 2 w v) <= h X m/2",
    "wide sums: at most h segments",
)
WIDE_SUMS_ONCE = (  # no score is computed twice
    "wide sums: p <= C + s",
    "wide sums: (d^2 - w d_v^2) C + (d + w d + 2 w d_v) T <= (a + w e)(b + c) + max(d^2, w d_v^2) s + (1 + w) d T_s",
)
WIDE_SUMS_TRAFFIC = ("wide sums: W >= (N (d^2 - w v^2) + N d_v (d + w d + 2 w v))/M + 4M/5",)
LARGE_FAST_MEMORY_TIED = ("tied values: p <= floor(a/d) J + s",)


def threshold(history: History) -> Fraction:
    """What m, half the words of a segment, is at least where values are wide, or tied, in a large fast memory."""
    d, d_v = history.d, history.d_v
    # `wide_sums` has the rest, as sums of one word
    return TIED_VALUES * d * (4 * d - 3 * d_v) if history.tied else WIDE_VALUES * d * d


def threshold_of_wide_sums(history: History, words: int) -> Fraction:
    """What m is at least in the theorem on sums of w words."""
    d, d_v, w = history.d, history.d_v, words
    return max(Fraction((1 + w) ** 2 * d * d, w), Fraction(4 * d * (d + (1 + w) * d_v), 3))


def leading(history: History) -> int:
    """M times the leading term of the bound for that."""
    d, d_v = history.d, history.d_v
    return len(history.pairs) * d * (d + d_v if history.tied else 4 * d_v)


def is_large(M: int, history: History) -> bool:
    """Whether that bound applies."""
    return threshold(history) <= M and leading(history) >= M * M


def _parts(most: int, M: int) -> list[int]:
    """Numbers of segments to try: few, and for a leading term of most/M that for which the theorems say the most."""
    return sorted({*PARTS, max(1, most // (M * M))})


def large_fast_memory(history: History, M: int, ledger: Ledger) -> None:
    """A large fast memory: moves are loads and creations of counted stays of O, in at most h segments of X words.

    For tied values, c are words of K, and N d (d + d_v)/M comes out.
    """
    d, d_v, N, tied = history.d, history.d_v, len(history.pairs), history.tied
    beta, per = (Fraction(d - d_v, 2 * d), 4 * d) if tied else (Fraction(0), 8 * d)
    work = N * (beta * d + d_v)
    for h in _parts(leading(history), M):
        segments, X, W = cut_equally(history, M, h)
        m = max(X / 2, threshold(history))
        ledger.at_most("large fast memory: W <= Q_io", W, history.traffic)
        ledger.at_most("large fast memory: at most h segments", len(segments), h)
        completions = products = 0
        for number, (start, stop) in enumerate(segments):
            where = f"h = {h}, segment of events {start} to {stop}"
            a, b, c, e, carried = touched_by_moves(history, start, stop, with_first=number > 0)
            s = len(carried)
            used = [triple for triple, time in history.designated.items() if start <= time < stop]
            completed = {pair for pair, time in history.completed.items() if start <= time < stop}
            p, C, T = len({(i, j) for i, j, _ in used} | completed), len(completed), len(used)
            completions, products = completions + C, products + T
            ledger.at_most("large fast memory: a + b + c + e + s <= X", a + b + (0 if tied else c) + e + s, X, where)
            ledger.at_most("large fast memory: p <= floor(a/d) floor(b/d) + s", p, (a // d) * (b // d) + s, where)
            ledger.at_most("large fast memory: first completions <= p", C, p, where)
            ledger.at_most("large fast memory: T^2 <= p c e", T * T, p * c * e, where)
            if tied:
                rows = c // d_v if d == d_v else min(c // d_v, (b - c) // (d - d_v))
                ledger.at_most("tied values: p <= floor(a/d) J + s", p, (a // d) * rows + s, where)
            ledger.at_most("large fast memory: beta d C + T <= X m/per", beta * d * C + T, X * m / per, where)
        ledger.equal("large fast memory: completions are N, designated products N d_v", completions, N)
        ledger.equal("large fast memory: completions are N, designated products N d_v", products, N * d_v)
        ledger.at_most("large fast memory: N (beta d + d_v) <= h X m/per", work, h * X * m / per, f"h = {h}")
        if is_large(M, history):
            least = Fraction(leading(history), M) + PLUS_LARGE * M
            ledger.at_most("large fast memory: W >= leading/M + 4M/5", least, W)


def wide_sums(history: History, words: int, ledger: Ledger) -> None:
    """Sums of w words, in the fast memory M that they need: at most h segments of X words; moves of O weigh w.

    v is d_v, or d/sqrt(w) if that is less.
    """
    d, d_v, N, w, M = history.d, history.d_v, len(history.pairs), words, history.peak_with(words)
    narrow = w * d_v**2 <= d**2
    # of pairs and of products; that of products is squared where it is not whole: (1 + w) d T + 2 sqrt(w) d T
    of_pairs, plain, root = (
        (d * d - w * d_v**2, d + w * d + 2 * w * d_v, 0) if narrow else (0, d + w * d, 4 * w * d * d)
    )
    work = of_pairs * N + plain * N * d_v, root * (N * d_v) ** 2  # the second is squared
    paid = history.traffic_with(w) + (w - 1) * _outputs(history)
    for h in _parts(work[0] + isqrt(work[1]), M):
        here = f"w = {w}, h = {h}"
        segments, X, W = cut_equally(history, M, h, words=w)
        m = max(X / 2, threshold_of_wide_sums(history, w))
        ledger.at_most("wide sums: W <= Q_io + (w - 1) n_q d_v", W, paid)
        ledger.at_most("wide sums: at most h segments", len(segments), h, here)
        totals = [0, 0]
        for number, (start, stop) in enumerate(segments):
            where = f"{here}, segment of events {start} to {stop}"
            a, b, c, e, carried = touched_by_moves(history, start, stop, with_first=number > 0)
            s = len(carried)
            used = [triple for triple, time in history.designated.items() if start <= time < stop]
            completed = {pair for pair, time in history.completed.items() if start <= time < stop}
            p, C, T = len({(i, j) for i, j, _ in used} | completed), len(completed), len(used)
            T_s = sum((i, j) in carried for i, j, _ in used)
            totals = [totals[0] + C, totals[1] + T]
            area, added = (a + w * e) * (b + c), d * d * s + (1 + w) * d * T_s
            for name, left, right in (
                (WIDE_SUMS[1], a + b + c + w * e + s, X),
                (WIDE_SUMS[2], p, (a // d) * (b // d) + s),
                (WIDE_SUMS[3], C, p),
                (WIDE_SUMS[4], T * T, p * c * e),
                (WIDE_SUMS[5], T - T_s, e * (b // d)),
                (WIDE_SUMS[6], T - T_s, c * (a // d)),
                (WIDE_SUMS[7], T_s, s * d_v),
                (WIDE_SUMS[8], T_s * T_s, s * c * e),
                (WIDE_SUMS[10], 4 * area, (X - s) ** 2),
                (WIDE_SUMS[12], (X - s) ** 2 + 4 * added, 2 * X * m),
            ):
                ledger.at_most(name, left, right, where)
            if not history.recomputed:
                ledger.at_most(WIDE_SUMS_ONCE[0], p, C + s, where)
                once = (d * d - w * d_v**2) * C + (d + w * d + 2 * w * d_v) * T
                most = area + max(d * d, w * d_v**2) * s + (1 + w) * d * T_s
                ledger.at_most(WIDE_SUMS_ONCE[1], once, most, where)
            _value(WIDE_SUMS[9], of_pairs * C + plain * T, root * T * T, area + added, where, ledger)
            _value(WIDE_SUMS[13], of_pairs * C + plain * T, root * T * T, X * m / 2, where, ledger)
        for total, expected in zip(totals, (N, N * d_v), strict=True):
            ledger.equal(WIDE_SUMS[11], total, expected)
        _value(WIDE_SUMS[14], *work, h * X * m / 2, here, ledger)
        if wide_sums_are_large(M, history, w):
            _value(WIDE_SUMS_TRAFFIC[0], *work, (W - PLUS_LARGE * M) * M, here, ledger)


def wide_sums_are_large(M: int, history: History, words: int) -> bool:
    """Whether the theorem on sums of w words applies."""
    d, d_v, N, w = history.d, history.d_v, len(history.pairs), words
    most = N * (d + d_v) * (d + w * d_v) if w * d_v**2 <= d**2 else N * d * d_v * (w + 3)
    return threshold_of_wide_sums(history, w) <= M and most >= M * M


def _outputs(history: History) -> int:
    """Words of O, each as one."""
    return len({(i, l) for i, _, l in history.designated})


def _value(name: str, left: int, square: int, right: int | Fraction, where: str, ledger: Ledger) -> None:
    """Checks left + sqrt(square) <= right."""
    if not square or right < left:
        ledger.at_most(name, left, right, where)
    else:
        ledger.at_most(name, square, (right - left) ** 2, where)


def enough(history: History, M: int, alpha: Fraction, *, root: int = 1) -> bool:
    """Whether there is something to say for this weight of a creation: there is work for a fifth of a segment."""
    doubled, products = 2 if history.tied else 1, len(history.pairs) * (history.d + root * history.d_v)
    return doubled * M**3 <= 25 * alpha * products**2


def any_fast_memory(history: History, M: int, alpha: Fraction, ledger: Ledger, *, root: int = 1) -> None:
    """Any fast memory: beginnings of counted stays weigh 1, a created score alpha once a segment; X = 3M, then 2M.

    For tied values, c <= b, and T_max is sqrt(2) times as large. If sums take w words, w = root^2, then e, T2 and d_v stand
    for w e, root T2 and root d_v, and Q_io for the traffic and (w - 1) n_q d_v.
    """
    d, d_v, N, w = history.d, root * history.d_v, len(history.pairs), root * root
    Q_io = history.traffic_with(w) + (w - 1) * _outputs(history)
    weights: dict[Kind, Fraction] = {"Q": Fraction(1), "K": Fraction(1), "V": Fraction(1), "O": Fraction(w), "S": alpha}
    segments, W, charged = cut_weights(history, weights, loaded_score=1, first=3 * M, later=2 * M)
    h = len(segments)
    doubled = 2 if history.tied else 1  # T_max^2 = doubled X^3/(27 alpha)
    T1 = T2 = 0
    for number, segment in enumerate(contents(history, segments), 1):
        where = f"alpha = {alpha}, {segment}"
        (a, b, c, e, s), (t1, t2) = segment.touched, segment.products
        e, t2 = w * e, root * t2
        T1, T2 = T1 + t1, T2 + t2
        T = t1 + t2
        ledger.at_most("any fast memory: a + b + c + e + alpha s <= X", a + b + c + e + alpha * s, 3 * M, where)
        ledger.at_most("any fast memory: T1^2 <= a b s", t1 * t1, a * b * s, where)
        if history.tied:
            ledger.at_most("any fast memory: T2^2 <= s c e", t2 * t2, s * b * e, where)
            ledger.at_most("tied values: T^2 <= 2 s b (a + e)", T * T, 2 * s * b * (a + e), where)
        else:
            ledger.at_most("any fast memory: T2^2 <= s c e", t2 * t2, s * c * e, where)
            ledger.at_most(
                "any fast memory: T <= sqrt(s) (a + b + c + e)/2", 4 * T * T, s * (a + b + c + e) ** 2, where
            )
        ledger.at_most("any fast memory: T <= T_max", alpha * T * T, doubled * M**3, where)
        if number == h:
            X = W - 2 * (h - 1) * M
            ledger.at_most(ANY_FAST_MEMORY[5], 27 * alpha * T * T, doubled * X**3, where)
    where = f"alpha = {alpha}"
    f_paid = sum(charged.values())
    f_all = sum(max(charged.get(pair, 0), 1) for pair in history.pairs)
    if h >= 2:
        ledger.at_most(ANY_FAST_MEMORY_MANY_SEGMENTS, (2 * h - 1) * M, W, where, strict=True)
    ledger.at_most("any fast memory: W <= Q_io + alpha f'", W, Q_io + alpha * f_paid, where)
    ledger.at_most("any fast memory: T1 >= f'' d", f_all * d, T1, where)
    ledger.at_most("any fast memory: f' <= f''", f_paid, f_all, where)
    ledger.equal("any fast memory: designated products are N d_v", T2, N * d_v, where)
    if not enough(history, M, alpha, root=root):
        return
    # what is squared has no root left: c = 2/sqrt(M doubled)
    c2 = Fraction(4, M * doubled)
    ledger.at_most(ANY_FAST_MEMORY_TRAFFIC[0], alpha * c2 * (T1 + T2) ** 2, _square(W - PLUS * M), where)
    ledger.at_most(
        ANY_FAST_MEMORY_TRAFFIC[1],
        alpha * c2 * (f_all * d + N * d_v) ** 2,
        _square(Q_io + alpha * f_all - PLUS * M),
        where,
    )
    if alpha <= c2 * d * d or not history.recomputed:
        ledger.at_most(
            ANY_FAST_MEMORY_BOUND[0], alpha * c2 * (N * (d + d_v)) ** 2, _square(Q_io + alpha * N - PLUS * M), where
        )


def _square(of: Fraction) -> Fraction:
    """For comparing squares of what must not be negative."""
    return max(Fraction(0), of) ** 2


def never_stored(history: History, M: int, ledger: Ledger) -> None:
    """No score is stored or loaded: traffic of Q and K and of V and O is cut into segments separately."""
    _queries_and_keys(history, M, ledger)
    if not history.recomputed:
        _values_and_outputs(history, M, ledger)
    for epsilon in EPSILONS:
        _recomputed(history, M, epsilon, ledger)


def _queries_and_keys(history: History, M: int, ledger: Ledger) -> None:
    """Step 1: loads of Q and K and creations of scores weigh 1, F = 2M."""
    d, N, F = history.d, len(history.pairs), 2 * M
    one = Fraction(1)
    segments, W1, charged = cut_weights(history, {"Q": one, "K": one, "S": one}, loaded_score=1, first=3 * M, later=F)
    f_paid = sum(charged.values())
    f_all = sum(max(charged.get(pair, 0), 1) for pair in history.pairs)
    ledger.at_most("never stored: W1 <= Q_QK + f'", W1, history.loads_of("Q", "K") + f_paid)
    T1 = 0
    for segment in contents(history, segments):
        where = str(segment)
        (a, b, _, _, s), (t1, _) = segment.touched, segment.products
        T1 += t1
        ledger.at_most("never stored: a + b + s <= 3M", a + b + s, 3 * M, where)
        ledger.at_most("never stored: T1^2 <= a b s", t1 * t1, a * b * s, where)
        ledger.at_most("never stored: T1^2 <= M^3", t1 * t1, M**3, where)
    if len(segments) >= 2:
        ledger.at_most(NEVER_STORED_MANY_SEGMENTS[0], M + (len(segments) - 1) * F, W1, strict=True)
    ledger.at_most("never stored: T1 >= f'' d", f_all * d, T1)
    if not history.recomputed:
        ledger.equal("never stored: each score that is used is created once", len(history.counted("S")), N)
        ledger.equal("never stored: each score that is used is created once", f_paid, N)
    if M**3 <= 25 * T1 * T1:
        ledger.at_most(NEVER_STORED_SCORES[0], 4 * T1 * T1, _square(W1 - PLUS * M) * M)


def _values_and_outputs(history: History, M: int, ledger: Ledger) -> None:
    """Step 2: loads of V weigh 1, beginnings of counted stays of O and creations of scores 2, F = 4M."""
    N, F = len(history.pairs), 4 * M
    one, two = Fraction(1), Fraction(2)
    segments, W2, _ = cut_weights(history, {"V": one, "O": two, "S": two}, loaded_score=2, first=6 * M, later=F)
    ledger.at_most("never stored: W2 <= Q_PV + n_q d_v + 2N", W2, _traffic_of_values(history) + 2 * N)
    for segment in contents(history, segments):
        where = str(segment)
        (_, _, c, e, s), (_, t2) = segment.touched, segment.products
        ledger.at_most("never stored: c + 2e + 2s <= 6M", c + 2 * e + 2 * s, 6 * M, where)
        ledger.at_most("never stored: T2^2 <= c e s", t2 * t2, c * e * s, where)
        ledger.at_most("never stored: T2^2 <= 2 M^3", t2 * t2, 2 * M**3, where)
    if len(segments) >= 2:
        ledger.at_most(NEVER_STORED_MANY_SEGMENTS[1], 6 * M + (len(segments) - 2) * F, W2, strict=True)
    T2 = N * history.d_v
    if 2 * M**3 <= 25 * T2 * T2:
        ledger.at_most(NEVER_STORED_VALUES[0], 8 * T2 * T2, _square(W2 - 2 * PLUS * M) * M)


def _recomputed(history: History, M: int, epsilon: Fraction, ledger: Ledger) -> None:
    """Step 3: as step 2, but loads of Q and K weigh epsilon and creations nothing; every segment has F = 4M.

    What is not carried into a segment is built from the few Q and K that it touches, so it adds at most delta M pairs.
    """
    d, F = history.d, 4 * M
    one, two = Fraction(1), Fraction(2)
    weights: dict[Kind, Fraction] = {"Q": epsilon, "K": epsilon, "V": one, "O": two}
    segments, W, _ = cut_weights(history, weights, loaded_score=0, first=F, later=F)
    Q_QK = history.loads_of("Q", "K")
    here = f"epsilon = {epsilon}"
    ledger.at_most(
        "never stored: W <= Q_PV + n_q d_v + epsilon Q_QK", W, _traffic_of_values(history) + epsilon * Q_QK, here
    )
    delta = ((1 + 4 / epsilon) * M) ** 2 / (4 * d * d * M)
    T_max_squared = 2 * M**3 * (1 + delta / 3) ** 3
    scores = history.counted("S")
    for segment in contents(history, segments):
        where = f"{here}, {segment}"
        (a, b, c, e, _), (_, t2) = segment.touched, segment.products
        start = segment.start
        resident = {(x.variable.row, x.variable.column) for x in scores if x.begin < start <= x.end}
        used = {(i, j) for i, j, _ in segment.designated}
        s = len(resident | used)
        ledger.at_most(
            "never stored: built pairs <= floor(a/d) floor(b/d)", len(used - resident), (a // d) * (b // d), where
        )
        ledger.at_most("never stored: built pairs <= delta M", len(used - resident), delta * M, where)
        ledger.at_most("never stored: c + 2e + 2s <= (6 + 2 delta) M", c + 2 * e + 2 * s, (6 + 2 * delta) * M, where)
        ledger.at_most("never stored: T2^2 <= c e s", t2 * t2, c * e * s, where)
        ledger.at_most("never stored: T2^2 <= 2 M^3 (1 + delta/3)^3", t2 * t2, T_max_squared, where)
    if len(segments) >= 2:
        ledger.at_most(NEVER_STORED_MANY_SEGMENTS[2], (len(segments) - 1) * F, W, here, strict=True)
    T2 = len(history.designated)
    ledger.at_most(
        "never stored: W >= 2 sqrt(2) N d_v (1 + delta/3)^(-3/2)/sqrt(M) - 4M",
        8 * T2 * T2,
        (W + 4 * M) ** 2 * M * (1 + delta / 3) ** 3,
        here,
    )


def _traffic_of_values(history: History) -> int:
    """Loads of V, loads and stores of O, and one more for each word of the output."""
    outputs = len({(i, l) for i, _, l in history.designated})
    return history.loads_of("V", "O") + history.stores_of("O") + outputs
