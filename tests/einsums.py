"""Einsums that several tests look at, and what is said of one."""

from __future__ import annotations

from iosim.bounds.einsum import einsum_bounds

MATMUL = "ik,kj->ij"
SYRK = "C[i,j] += A[i,k] A[j,k]"
SYR2K = "C{i,j} += A[i,k] B[j,k]"
TRMM = "X[i,j] += A[k,i] B[k,j] where i < k"
TWO = "ik,kj->ij; ij,jl->il"
THREE = "E[i,j] += A[i,k] B[k,j]; F[j,l] += C[j,m] D[m,l]; G[i,l] += E[i,j] F[j,l]"


def says(text: str, M: int, **sizes: int) -> int:
    """The greatest bound for schedules that compute nothing twice. Units: words."""
    bounds = einsum_bounds(text)
    return bounds.greatest(bounds.sizes(sizes, M, "no recomputation"))[1]
