"""The cases of the whole validation, those that matter most first; and tiny ones, to rehearse it."""

from __future__ import annotations

from iosim.gpu.cases import Case


def _flash2(n: int, d: int, B_r: int, B_c: int, *, heads: int = 1, mask: str = "full", sdpa: bool = False) -> Case:
    tiles = {"B_r": B_r, "B_c": B_c, "e": d, "e_v": d}
    return Case(algo="flash2", n=n, d=d, heads=heads, mask=mask, tiles=tiles, sdpa=sdpa)


CASES: tuple[Case, ...] = (_flash2(4096, 64, 128, 64, sdpa=True),)

REHEARSAL: tuple[Case, ...] = (
    Case(algo="flash2", n=64, d=16, tiles={"B_r": 32, "B_c": 16, "e": 16, "e_v": 16}, dtype="fp16", sdpa=True),
    Case(algo="flash2", n=96, d=16, heads=2, tiles={"B_r": 64, "B_c": 32, "e": 16, "e_v": 16}, dtype="fp16"),
    Case(algo="approx-resident", n=32, d=4, degree=2, tiles={"N": 16, "c": 4}, dtype="fp16", sdpa=True),
    Case(algo="approx-resident", n=64, d=4, degree=2, tiles={"N": 16, "c": 4}, dtype="fp16", sdpa=True),
)
