"""The theorems on exact attention, on one schedule: the segments of each proof, and every inequality asserted of them.

Notation, as in the proofs: Q_io traffic; M words of fast memory; N pairs that meet; a, b, c, e, s the numbers of Q, K,
V, O variables and of pairs that a segment touches; T1, T2 products Q_il K_jl and designated products P_ij V_jl in it,
T their sum; h segments of W moves, or of moves that weigh W. Squares are compared, never roots.
"""

from __future__ import annotations

from fractions import Fraction

from iosim.bounds.exact import TIED_VALUES, WIDE_VALUES
from iosim.interpret.words.events import Kind
from proofs.ledger import Ledger
from proofs.replay import History
from proofs.segments import contents, cut_moves, cut_weights, cut_wide_sums, touched_by_moves

# Weights of loads of Q and K where scores are never stored but computed again.
EPSILONS = (Fraction(1, 2), Fraction(1, 4))

LARGE_FAST_MEMORY = (
    "large fast memory: W <= Q_io",
    "large fast memory: a + b + c + e + s <= X",
    "large fast memory: p <= floor(a/d) floor(b/d) + s",
    "large fast memory: first completions <= p",
    "large fast memory: T^2 <= p c e",
    "large fast memory: completions are N, designated products N d_v",
)
LARGE_FAST_MEMORY_TRAFFIC = (
    "large fast memory: beta d C + T <= V",
    "large fast memory: N (beta d + d_v) <= h V",
    "large fast memory: W >= kappa N/M",
)
LARGE_FAST_MEMORY_MANY_SEGMENTS = "large fast memory: W > h M"
ANY_FAST_MEMORY = (
    "any fast memory: W <= Q_io + alpha f'",
    "any fast memory: a + b + c + e + alpha s <= X",
    "any fast memory: T1^2 <= a b s",
    "any fast memory: T2^2 <= s c e",
    "any fast memory: T <= T_max",
    "any fast memory: T1 >= f'' d",
    "any fast memory: f' <= f''",
    "any fast memory: designated products are N d_v",
    "any fast memory: W >= F T/T_max + M - F",
    "any fast memory: Q_io >= f''(c d sqrt(alpha) - alpha) + c d_v N sqrt(alpha) + M - F",
    "any fast memory: Q_io >= N(c (d + d_v) sqrt(alpha) - alpha) + M - F",
)
ANY_FAST_MEMORY_UNTIED = ("any fast memory: T <= sqrt(s) (a + b + c + e)/2",)
ANY_FAST_MEMORY_TIED = ("tied values: T^2 <= 2 s b (a + e)",)
ANY_FAST_MEMORY_ONE_SEGMENT = "any fast memory: T <= T_max(W) in a single segment"
ANY_FAST_MEMORY_MANY_SEGMENTS = "any fast memory: W > M + (h-1) F"
NEVER_STORED = (
    "never stored: W1 <= Q_QK + f'",
    "never stored: a + b + s <= 3M",
    "never stored: T1^2 <= a b s",
    "never stored: T1^2 <= M^3",
    "never stored: T1 >= f'' d",
    "never stored: W1 >= 2 T1/sqrt(M) - M",
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
    "never stored: W2 >= 2 sqrt(2) N d_v/sqrt(M) - 2M",
)
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
)
WIDE_SUMS_ONCE = (  # no score is computed twice
    "wide sums: p <= C + s",
    "wide sums: (d^2 - w d_v^2) C + (d + w d + 2 w d_v) T <= (a + w e)(b + c) + max(d^2, w d_v^2) s + (1 + w) d T_s",
)
WIDE_SUMS_TRAFFIC = (
    "wide sums: (X - s)^2/4 + d^2 s + (1 + w) d T_s <= X M/2",
    "wide sums: (d^2 - w v^2) C + (d + w d + 2 w v) T <= X M/2",
    "wide sums: W >= (N (d^2 - w v^2) + N d_v (d + w d + 2 w v))/M",
)
WIDE_SUMS_MANY_SEGMENTS = "wide sums: W > h M"
LARGE_FAST_MEMORY_TIED = ("tied values: p <= floor(a/d) J + s",)


def is_large(M: int, history: History) -> bool:
    """Whether M is so large that nothing is subtracted where values are wide, or where they are tied."""
    d, d_v = history.d, history.d_v
    if history.tied:
        return TIED_VALUES * d * (4 * d - 3 * d_v) <= M
    return d <= d_v and WIDE_VALUES * d * d <= M  # `wide_sums` has the rest, as sums of one word


def wide_sums_are_large(M: int, history: History, words: int) -> bool:
    """Whether the theorem on sums of w words applies."""
    d, d_v, w = history.d, history.d_v, words
    wide = w * d_v**2 > d**2  # if not, this follows
    return (1 + w) ** 2 * d * d <= w * M and (not wide or 4 * d * (d + (1 + w) * d_v) <= 3 * M)


def large_fast_memory(history: History, M: int, ledger: Ledger) -> None:
    """A large fast memory: moves are loads and creations of counted stays of O; 2M of them, then M a segment.

    For tied values, c are words of K, and N d (d + d_v)/M comes out.
    """
    d, d_v, N, tied = history.d, history.d_v, len(history.pairs), history.tied
    segments, W = cut_moves(history, first=2 * M, later=M)
    h = len(segments)
    ledger.at_most("large fast memory: W <= Q_io", W, history.traffic)
    if h >= 2:
        ledger.at_most(LARGE_FAST_MEMORY_MANY_SEGMENTS, h * M, W, strict=True)
    beta = max(Fraction(0), Fraction(d - d_v, 2 * d))
    kappa = d * (d + d_v) if tied else 4 * d * d_v
    V = M * M * (beta * d + d_v) / kappa
    large = is_large(M, history)
    completions = products = 0
    for start, stop in segments:
        where = f"segment of events {start} to {stop}"
        a, b, c, e, carried = touched_by_moves(history, start, stop)
        s = len(carried)
        used = [triple for triple, time in history.designated.items() if start <= time < stop]
        completed = {pair for pair, time in history.completed.items() if start <= time < stop}
        p, C, T = len({(i, j) for i, j, _ in used} | completed), len(completed), len(used)
        completions, products = completions + C, products + T
        ledger.at_most("large fast memory: a + b + c + e + s <= X", a + b + (0 if tied else c) + e + s, 2 * M, where)
        ledger.at_most("large fast memory: p <= floor(a/d) floor(b/d) + s", p, (a // d) * (b // d) + s, where)
        ledger.at_most("large fast memory: first completions <= p", C, p, where)
        ledger.at_most("large fast memory: T^2 <= p c e", T * T, p * c * e, where)
        if tied:
            rows = c // d_v if d == d_v else min(c // d_v, (b - c) // (d - d_v))
            ledger.at_most("tied values: p <= floor(a/d) J + s", p, (a // d) * rows + s, where)
        if large:
            ledger.at_most("large fast memory: beta d C + T <= V", beta * d * C + T, V, where)
    ledger.equal("large fast memory: completions are N, designated products N d_v", completions, N)
    ledger.equal("large fast memory: completions are N, designated products N d_v", products, N * d_v)
    if large:
        ledger.at_most("large fast memory: N (beta d + d_v) <= h V", N * (beta * d + d_v), h * V)
        ledger.at_most("large fast memory: W >= kappa N/M", kappa * N, W * M)


def wide_sums(history: History, words: int, ledger: Ledger) -> None:
    """Sums of w words, in the fast memory M that they need: moves of weight 2M, then M a segment; those of O weigh w.

    v is d_v, or d/sqrt(w) if that is less.
    """
    d, d_v, N, w, M = history.d, history.d_v, len(history.pairs), words, history.peak_with(words)
    segments, W = cut_wide_sums(history, w, first=2 * M, later=M)
    paid = history.traffic_with(w) + (w - 1) * _outputs(history)
    ledger.at_most("wide sums: W <= Q_io + (w - 1) n_q d_v", W, paid)
    if len(segments) >= 2:
        ledger.at_most(WIDE_SUMS_MANY_SEGMENTS, len(segments) * M, W, strict=True)
    narrow = w * d_v**2 <= d**2
    # of pairs and of products; that of products is squared where it is not whole: (1 + w) d T + 2 sqrt(w) d T
    of_pairs, plain, root = (
        (d * d - w * d_v**2, d + w * d + 2 * w * d_v, 0) if narrow else (0, d + w * d, 4 * w * d * d)
    )
    large = wide_sums_are_large(M, history, w)
    totals = [0, 0]
    for number, (start, stop) in enumerate(segments):
        where = f"w = {w}, segment of events {start} to {stop}"
        a, b, c, e, carried = touched_by_moves(history, start, stop, with_first=number > 0)
        s, X = len(carried), 2 * M
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
        ):
            ledger.at_most(name, left, right, where)
        if not history.recomputed:
            ledger.at_most(WIDE_SUMS_ONCE[0], p, C + s, where)
            once = (d * d - w * d_v**2) * C + (d + w * d + 2 * w * d_v) * T
            most = area + max(d * d, w * d_v**2) * s + (1 + w) * d * T_s
            ledger.at_most(WIDE_SUMS_ONCE[1], once, most, where)
        _value(WIDE_SUMS[9], of_pairs * C + plain * T, root * T * T, area + added, where, ledger)
        if large:
            ledger.at_most(WIDE_SUMS_TRAFFIC[0], (X - s) ** 2 + 4 * added, 2 * X * M, where)
            _value(WIDE_SUMS_TRAFFIC[1], of_pairs * C + plain * T, root * T * T, Fraction(X * M, 2), where, ledger)
    for total, expected in zip(totals, (N, N * d_v), strict=True):
        ledger.equal(WIDE_SUMS[11], total, expected)
    if large:
        work = of_pairs * N + plain * N * d_v
        _value(WIDE_SUMS_TRAFFIC[2], work, root * (N * d_v) ** 2, W * M, f"w = {w}", ledger)


def _outputs(history: History) -> int:
    """Words of O, each as one."""
    return len({(i, l) for i, _, l in history.designated})


def _value(name: str, left: int, square: int, right: int | Fraction, where: str, ledger: Ledger) -> None:
    """Checks left + sqrt(square) <= right."""
    if not square or right < left:
        ledger.at_most(name, left, right, where)
    else:
        ledger.at_most(name, square, (right - left) ** 2, where)


def any_fast_memory(history: History, M: int, F: int, alpha: Fraction, ledger: Ledger, *, root: int = 1) -> None:
    """Any fast memory: beginnings of counted stays weigh 1, a created score alpha once a segment; X = M + F, then F.

    For tied values, c <= b, and T_max is sqrt(2) times as large. If sums take w words, w = root^2, then e, T2 and d_v stand
    for w e, root T2 and root d_v, and Q_io for the traffic and (w - 1) n_q d_v.
    """
    d, d_v, N, w = history.d, root * history.d_v, len(history.pairs), root * root
    Q_io = history.traffic_with(w) + (w - 1) * _outputs(history)
    X = M + F
    weights: dict[Kind, Fraction] = {"Q": Fraction(1), "K": Fraction(1), "V": Fraction(1), "O": Fraction(w), "S": alpha}
    segments, W, charged = cut_weights(history, weights, loaded_score=1, first=X, later=F)
    h = len(segments)
    doubled = 2 if history.tied else 1  # T_max^2 = doubled X^3/(27 alpha)
    T1 = T2 = 0
    for segment in contents(history, segments):
        where = f"alpha = {alpha}, F = {F}, {segment}"
        (a, b, c, e, s), (t1, t2) = segment.touched, segment.products
        e, t2 = w * e, root * t2
        T1, T2 = T1 + t1, T2 + t2
        T = t1 + t2
        ledger.at_most("any fast memory: a + b + c + e + alpha s <= X", a + b + c + e + alpha * s, X, where)
        ledger.at_most("any fast memory: T1^2 <= a b s", t1 * t1, a * b * s, where)
        if history.tied:
            ledger.at_most("any fast memory: T2^2 <= s c e", t2 * t2, s * b * e, where)
            ledger.at_most("tied values: T^2 <= 2 s b (a + e)", T * T, 2 * s * b * (a + e), where)
        else:
            ledger.at_most("any fast memory: T2^2 <= s c e", t2 * t2, s * c * e, where)
            ledger.at_most(
                "any fast memory: T <= sqrt(s) (a + b + c + e)/2", 4 * T * T, s * (a + b + c + e) ** 2, where
            )
        ledger.at_most("any fast memory: T <= T_max", 27 * alpha * T * T, doubled * X**3, where)
        if h == 1:
            ledger.at_most(ANY_FAST_MEMORY_ONE_SEGMENT, 27 * alpha * T * T, doubled * W**3, where)
    where = f"alpha = {alpha}, F = {F}"
    f_paid = sum(charged.values())
    f_all = sum(max(charged.get(pair, 0), 1) for pair in history.pairs)
    if h >= 2:
        ledger.at_most(ANY_FAST_MEMORY_MANY_SEGMENTS, M + (h - 1) * F, W, where, strict=True)
    ledger.at_most("any fast memory: W <= Q_io + alpha f'", W, Q_io + alpha * f_paid, where)
    ledger.at_most("any fast memory: T1 >= f'' d", f_all * d, T1, where)
    ledger.at_most("any fast memory: f' <= f''", f_paid, f_all, where)
    ledger.equal("any fast memory: designated products are N d_v", T2, N * d_v, where)
    # F/T_max = sqrt(alpha) c, and c^2 = 27 F^2/(M + F)^3
    c2 = Fraction(27 * F * F, X**3) / doubled
    ledger.at_most("any fast memory: W >= F T/T_max + M - F", alpha * c2 * (T1 + T2) ** 2, (W + F - M) ** 2, where)
    ledger.at_most(
        "any fast memory: Q_io >= f''(c d sqrt(alpha) - alpha) + c d_v N sqrt(alpha) + M - F",
        alpha * c2 * (f_all * d + N * d_v) ** 2,
        (Q_io + alpha * f_all + F - M) ** 2,
        where,
    )
    if alpha <= c2 * d * d or not history.recomputed:
        ledger.at_most(
            "any fast memory: Q_io >= N(c (d + d_v) sqrt(alpha) - alpha) + M - F",
            alpha * c2 * (N * (d + d_v)) ** 2,
            (Q_io + alpha * N + F - M) ** 2,
            where,
        )


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
    ledger.at_most("never stored: W1 >= 2 T1/sqrt(M) - M", 4 * T1 * T1, (W1 + M) ** 2 * M)


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
    ledger.at_most("never stored: W2 >= 2 sqrt(2) N d_v/sqrt(M) - 2M", 8 * T2 * T2, (W2 + 2 * M) ** 2 * M)


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
