"""Decoding with polynomial attention: in place of a cache of keys and values, a state of feature sums of one size.

The state, W [r, d_v] and w [r, 1] with r = C(d+degree, degree), lies in slow memory between steps. A step takes n new
tokens: for each, its key and value are added to the state, then its queries use it, those of all heads that share the key.
So the words that a token moves don't depend on how many came before it, while exact attention loads the whole cache.

    resident  the state is loaded, stays while the tokens pass, and is stored: 2 r(d_v+1) words for all n tokens
    tokens    B tokens stay, with their queries and outputs; the state passes word by word: 2 r(d_v+1) words for each B

The tokens of a step are causal among themselves. A prompt is taken in by steps too: that is how a state grows from nothing.

Source: Katharopoulos et al., Transformers are RNNs, ICML 2020 (a state in place of a cache); the polynomial features as in
approx_resident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from algorithms.designs.monomials import all_monomials
from algorithms.polynomial.feature_sums import Chunk, FeatureSums
from algorithms.polynomial.sizes import SOURCE, coarse, resident_peak, rows_executed
from algorithms.shared.attention import whole
from iosim import (
    CAUSAL,
    DECODING,
    Algorithm,
    Builder,
    Form,
    Plan,
    Problem,
    Size,
    Span,
    build,
    ceil_div,
    monomial_count,
    symbols,
)
from iosim.builder import ArrayHandle, Extent, Index
from iosim.plan import Layout


def arrays(b: Builder, *, n: Size, d: Size, d_v: Size, g: Size, r: Size) -> tuple[ArrayHandle, ...]:
    """Q, K, V, the state, O and the new state, with what each word of these must have seen."""
    Q, K, V = b.input("Q", (n * g, d)), b.input("K", (n, d)), b.input("V", (n, d_v))
    W, w = b.input("W", (r, d_v)), b.input("w", (r, 1))

    def of_query(i, l):  # type: ignore[no-untyped-def]
        keys = CAUSAL.span(Span(i.size // g, 1), n, n)
        return Q[i, :], K[keys, :], V[keys, l], W[:, l], w[:, :]

    O = b.output("O", (n * g, d_v), needs=of_query)
    W_new = b.output("W_new", (r, d_v), needs=lambda a, l: (K[:, :], V[:, l], W[a, l]))
    return Q, K, V, W, w, O, W_new, b.output("w_new", (r, 1), needs=lambda a, l: (K[:, :], w[a, :]))


def resident(
    b: Builder,
    *,
    n: Size,
    d: Size,
    d_v: Size,
    g: Size,
    B: Size,
    N: Size,
    c: Size,
    degree: int,
    coefficients: tuple[float, ...] | None,
) -> None:
    """K and Q are streamed by N rows, V and O by c columns of them (one: N = c = 1), by B tokens."""
    sums = FeatureSums(b=b, n=n, n_k=n, mask=CAUSAL, g=g, B=B, N=N, c=c, degree=degree, coefficients=coefficients)
    phi = all_monomials(d, degree, d)
    Q, K, V, W_old, w_old, O, W_new, w_new = arrays(b, n=n, d=d, d_v=d_v, g=g, r=phi.slots)
    W, w = b.load(W_old[:, :], "W"), b.load(w_old[:, :], "w")

    def use(i: Index, keys: Extent, chunk: Chunk | None) -> None:
        with b.load(Q[i, :]) as q, b.zeros("z", i, 1) as z:
            sums.use_sums(z, q, w, phi, phi.slots, i, chunk)
            with b.tiles("l", d_v, c) as l, b.zeros("y", i, l) as y:
                sums.use_products(y, q, W[:, l], phi, phi.slots, i, l, chunk)
                b.op("divide_by_column", y, z)
                b.store(y, O[i, l])

    sums.run(
        lambda j: K[j, :],
        lambda j, l: V[j, l],
        add_key=lambda k: sums.add_sums(w, k, phi),
        add=[(0, d_v, lambda k, v, l: sums.add_products(W[:, l], k, v, phi))],
        weigh=lambda: None,
        use=use,
    )
    b.store(W, W_new[:, :])
    b.store(w, w_new[:, :])
    b.free(W, w)


def tokens(
    b: Builder,
    *,
    n: Size,
    d: Size,
    d_v: Size,
    g: Size,
    B: Size,
    f: Size,
    c: Size,
    degree: int,
    coefficients: tuple[float, ...] | None,
) -> None:
    """The state passes by f monomials and c columns (one word: f = c = 1); all but the first B tokens find it in W_new."""
    phi = all_monomials(d, degree, d)
    Q, K, V, W_old, w_old, O, W_new, w_new = arrays(b, n=n, d=d, d_v=d_v, g=g, r=phi.slots)
    for first in (True, False):
        with b.tiles("p", B if first else n, B, start=0 if first else B) as p:
            rows = slice(g * p.start, g * p.stop)
            q, k, v = b.load(Q[rows, :]), b.load(K[p, :]), b.load(V[p, :])
            y, z = b.zeros("y", g * p.length, d_v), b.zeros("z", g * p.length, 1)
            with b.tiles("a", phi.slots, f) as a:
                chosen = {"monomials": phi, "coefficients": coefficients, "first": a.start, "group": g}
                with b.load((w_old if first else w_new)[a, :], "w") as w:
                    b.op("decode_sums", w, z, q, k, **chosen)
                    b.store(w, w_new[a, :])
                with b.tiles("l", d_v, c) as l, b.load((W_old if first else W_new)[a, l], "W") as W:
                    b.op("decode", W, y[:, l], q, k, v[:, l], **chosen)
                    b.store(W, W_new[a, l])
            b.op("divide_by_column", y, z)
            b.store(y, O[rows, :])
            b.free(q, k, v, y, z)


def io(*, n: Size, d: Size, d_v: Size, g: Size, r: Size, times: Size) -> Size:
    """K and V of each token, Q and O of its g queries; the state loaded and stored so many times. Units: words."""
    return n * (g + 1) * (d + d_v) + 2 * r * (d_v + 1) * times


def state_peak(*, d: Size, d_v: Size, degree: int) -> Size:
    """As where the sums are no state, whose word for the constant feature is held here too. Units: words."""
    return resident_peak(d=d, d_v=d_v, degree=degree) + 1


def tokens_peak(*, d: Size, d_v: Size, g: Size, B: Size) -> Size:
    """k and v of each token, q, y and z of its queries; one word of the state and one monomial. Units: words."""
    return B * ((g + 1) * (d + d_v) + g) + 1 + 1


def layout(
    inputs: Mapping[str, NDArray[np.float64]], sizes: Mapping[str, int], *, coefficients: tuple[float, ...]
) -> dict[str, NDArray[np.float64]]:
    """The last n keys and values, and the state after those before them.

    Shapes: K: [n_k, d] or [heads, n_k, d], to [n, d] or [heads, n, d]; W: [r, d_v] or [heads, r, d_v].
    """
    from iosim.numeric.reference_decoding import feature_sums

    K, V = inputs["K"], inputs["V"]
    past = K.shape[-2] - sizes["n"]
    heads = K.shape[:-2]
    pairs = zip(K.reshape(-1, *K.shape[-2:]), V.reshape(-1, *V.shape[-2:]), strict=True)
    states = [feature_sums(k[:past], v[:past], coefficients) for k, v in pairs]
    W, w = (np.stack(parts).reshape(*heads, *parts[0].shape) for parts in zip(*states, strict=True))
    return {"Q": inputs["Q"], "K": K[..., past:, :], "V": V[..., past:, :], "W": W, "w": w}


class Decoding(Algorithm):
    """The algorithm of this file."""

    def unsupported(self, problem: Problem) -> str | None:
        one = problem.n == 1 and problem.mask.full
        return None if one or problem.mask == CAUSAL else "a causal mask, or one query"

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        r = problem.features
        rows = problem.n * problem.group
        if whole(state_peak(d=problem.d, d_v=problem.d_v, degree=problem.degree)) <= capacity:
            executed = {**coarse(problem, r), "B": max(1, min(rows_executed(r, problem.n), problem.n // 2))}
            yield self._plan(problem, "resident", executed, {})
        each = whole(tokens_peak(d=problem.d, d_v=problem.d_v, g=problem.group, B=1)) - 2
        B = min(problem.n, (capacity - 2) // each)
        if B >= 1:
            executed = {"f": rows_executed(rows, r), "c": problem.d_v, "B": min(problem.n, max(B, _TOKENS_EXECUTED))}
            yield self._plan(problem, "tokens", executed, {"B": B})

    def _plan(self, problem: Problem, schedule: str, executed: Mapping[str, int], tiles: Mapping[str, int]) -> Plan:
        d, d_v, g, r = problem.d, problem.d_v, problem.group, problem.features
        peaks = {
            "resident": state_peak(d=d, d_v=d_v, degree=problem.degree),
            "tokens": tokens_peak(d=d, d_v=d_v, g=g, B=tiles.get("B", 1)),
        }
        sizes = {**problem.sizes, **dict.fromkeys(executed, 1), **tiles}
        letters = {**problem.letters, "n": symbols("n")[0], "g": symbols("g")[0] if g > 1 else 1}
        symbolic = {name: letters[name] for name in ("n", "d", "d_v", "g")} | {"r": symbols("r")[0]}
        passes = ceil_div(letters["n"], symbols("B")[0]) if tiles else 1
        return Plan(
            algorithm=self.name,
            schedule=schedule,
            program=build(
                _AUTHORS[schedule],
                name=f"{self.name} ({schedule})",
                n="n",
                d=d,
                d_v=d_v,
                g=letters["g"],
                **{name: name for name in executed},
                degree=problem.degree,
                coefficients=problem.coefficients,
            ),
            sizes=sizes,
            tiles={"r": r, **tiles},
            executed={**sizes, **executed},
            closed_form=io(**symbolic, times=passes),
            claimed_peak_words=whole(peaks[schedule]),
            regime={
                "resident": "M >= r(d_v+1) + d + 1 + max(g, 1), r = C(d+g, g)",
                "tokens": "M >= B ((h+1)(d+d_v) + h) + 2, h query heads a key head",
            }[schedule],
            layout=_layout(problem.coefficients),
        )

    def least_capacity(self, problem: Problem) -> int:
        least = (
            state_peak(d=problem.d, d_v=problem.d_v, degree=problem.degree),
            tokens_peak(d=problem.d, d_v=problem.d_v, g=problem.group, B=1),
        )
        return min(map(whole, least))

    def forms(self) -> tuple[Form, ...]:
        n, d, d_v, B = symbols("n", "d", "d_v", "B")
        letters: dict[str, Size] = {"n": n, "d": d, "d_v": d_v, "g": 1}
        given: dict[str, object] = {**letters, "c": 1, "degree": 2, "coefficients": None}
        r = monomial_count(d, 2)
        held = build(resident, name=f"{self.name} (resident)", **given, B=1, N=1)
        passing = build(tokens, name=f"{self.name} (tokens)", **given, B=B, f=1)
        return (
            Form(
                schedule="resident",
                program=held,
                io=io(**letters, r=r, times=1),
                peak=state_peak(d=d, d_v=d_v, degree=2),
                regime="degree 2, n new tokens",
            ),
            Form(
                schedule="tokens",
                program=passing,
                io=io(**letters, r=r, times=ceil_div(n, B)),
                peak=tokens_peak(d=d, d_v=d_v, g=1, B=B),
                regime="degree 2, n new tokens, B <= n",
            ),
        )


_TOKENS_EXECUTED = 256
_AUTHORS: Mapping[str, Callable[..., None]] = {"resident": resident, "tokens": tokens}


@cache
def _layout(coefficients: tuple[float, ...] | None) -> Layout:
    """One function for each polynomial, so that equal plans are equal."""
    return partial(layout, coefficients=coefficients or ())


approx_decoding = Decoding(
    name="approx-decoding",
    summary="polynomial attention for new tokens, with feature sums in place of a K/V cache: constant words a token",
    source=SOURCE,
    approximate=True,
    computes=DECODING,
)
