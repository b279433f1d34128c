"""The inequalities that an audit has to have checked, by theorem: what of them is missing from a ledger is an error."""

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
ANY_FAST_MEMORY_MANY_SEGMENTS = ("any fast memory: W > (2h - 1) M",)
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
