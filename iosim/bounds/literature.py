"""What others have stated about the traffic of attention and of its matrix products, as bounds with their sources.

Almost all is asymptotic: true up to a constant factor that the statement doesn't give, so it has no value at given sizes;
its formula is what stands inside Omega, O or Theta. A statement with Theta is a lower and an upper bound; it is here as the
first, unless it is about one algorithm. `n` of the papers is n_q = n_k here. Matrix products are of n x d with d x n.

Where only an abstract could be read, the note says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from iosim.bounds.bound import Bound, Condition, Letters


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of the literature.

    Attributes:
        title: who and when, for people.
        problem: what it is about.
        symbol: how the formula is meant: Omega, O, Theta, or >= for one with its constant.
        bounds: the branches; the smallest one is meant.
        note: conditions and reservations, in words.
    """

    title: str
    problem: str
    symbol: str
    bounds: tuple[Bound, ...]
    note: str


def _asymptotic(
    name: str,
    source: str,
    *branches: tuple[Callable[[Letters], Any], Callable[[Letters], tuple[Condition, ...]]],
    upper: bool = False,
) -> tuple[Bound, ...]:
    """Bounds without constants: a formula and its conditions for each branch."""
    names = (name,) if len(branches) == 1 else tuple(f"{name}_branch_{i}" for i in range(1, len(branches) + 1))
    kind: Literal["lower", "upper"] = "upper" if upper else "lower"
    return tuple(
        Bound(name=n, formula=f, conditions=c, kind=kind, strength="asymptotic", source=source)
        for n, (f, c) in zip(names, branches, strict=True)
    )


def _always(_: Letters) -> tuple[Condition, ...]:
    return ()


def _between_d_and_nd(x: Letters) -> tuple[Condition, ...]:
    return ((x.M, x.d), (x.n_q * x.d, x.M))


def _n2_d2_over_M(x: Letters) -> Any:
    return x.n_q * x.n_k * x.d**2 / x.M


def _n2_d_over_root_M(x: Letters) -> Any:
    return x.n_q * x.n_k * x.d / x.sqrt(x.M)


_HONG_KUNG = "Hong and Kung, I/O complexity: the red-blue pebble game, STOC 1981"
_SMITH = "Smith, Lowery, Langou and van de Geijn, A tight I/O lower bound for matrix multiplication, arXiv 1702.02017"
_DAO = "Dao, Fu, Ermon, Rudra and Re, FlashAttention, NeurIPS 2022, arXiv 2205.14135"
_SAHA_YE = (
    "Saha and Ye, The I/O complexity of attention, or how optimal is FlashAttention?, ICML 2024, arXiv 2402.07443"
)
_LI = "Li, Liang, Shi, Song and others, On fine-grained I/O complexity of attention backward passes, arXiv 2410.09397"
_PAPP = "Papp, Sobczyk and Zouzias, Approaching I/O-optimality for approximate attention, arXiv 2605.23751"

MATMUL = Bound(
    name="matmul_at_least_2_m_n_k_over_root_M_minus_2M",
    formula=lambda x: 2 * x.n_q * x.n_k * x.d / x.sqrt(x.M) - 2 * x.M,
    source=_SMITH,
)

STATEMENTS = (
    Statement(
        title="Hong and Kung 1981",
        problem="matrix product",
        symbol="Omega",
        bounds=_asymptotic("matmul_omega_n_cubed_over_root_M", _HONG_KUNG, (_n2_d_over_root_M, _always)),
        note="stated for n x n matrices, n^3/sqrt(M)",
    ),
    Statement(
        title="Smith, Lowery, Langou and van de Geijn 2017",
        problem="matrix product",
        symbol=">=",
        bounds=(MATMUL,),
        note="with its constant; of Q K^T or of P V alone, each with its matrices in slow memory, not of attention",
    ),
    Statement(
        title="FlashAttention 2022, Theorem 2",
        problem="attention",
        symbol="Theta",
        bounds=_asymptotic("flash_attention_theta_n2_d2_over_M", _DAO, (_n2_d2_over_M, _between_d_and_nd), upper=True),
        note="of what FlashAttention itself moves, for d <= M <= n d",
    ),
    Statement(
        title="FlashAttention 2022, Proposition 3",
        problem="attention",
        symbol="not o",
        bounds=_asymptotic("not_little_o_of_n2_d2_over_M_for_all_M", _DAO, (_n2_d2_over_M, _between_d_and_nd)),
        note="no exact algorithm has o(n^2 d^2/M) for all M from d to n d; at a single M it says nothing",
    ),
    Statement(
        title="Saha and Ye 2024",
        problem="attention",
        symbol="Theta",
        bounds=_asymptotic(
            "attention_theta_min_n2_d2_over_M_and_n2_d_over_root_M",
            _SAHA_YE,
            (_n2_d2_over_M, lambda x: ((x.M, x.d**2),)),
            (_n2_d_over_root_M, lambda x: ((x.d**2, x.M),)),
        ),
        note="M >= d^2: the first, for any matrix multiplication; M < d^2: the second, for the standard one",
    ),
    Statement(
        title="Li et al. 2024",
        problem="attention, backward pass",
        symbol="Theta",
        bounds=_asymptotic(
            "backward_theta_min_n2_d2_plus_n_d3_over_M_and_n2_d_plus_n_d2_over_root_M",
            _LI,
            (lambda x: (x.n_q * x.n_k * x.d**2 + x.n_q * x.d**3) / x.M, _always),
            (lambda x: (x.n_q * x.n_k * x.d + x.n_q * x.d**2) / x.sqrt(x.M), _always),
        ),
        note="of the backward pass, not of the forward pass; the branches cross at M of the order of d^2",
    ),
    Statement(
        title="Papp, Sobczyk and Zouzias 2026",
        problem="approximate attention",
        symbol="Omega",
        bounds=_asymptotic(
            "approximate_attention_omega_n_d",
            _PAPP,
            (lambda x: x.n_q * (x.d + x.d_v) + x.n_k * (x.d + x.d_v), _always),
        ),
        note="read: the abstract only, which names this bound as trivial, and states algorithms almost linear in n with "
        "lower bounds close to them in each regime of parameters; those are not reproduced here",
    ),
)
