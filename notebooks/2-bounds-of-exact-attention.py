# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. The bounds of exact attention, with their constants
#
# How few words can move at all? Below, $n$ queries and keys of $d$ words, $M$ words of fast memory, and
# $u = d/\sqrt M$. Every schedule, with recomputation, in any order, moves at least
#
# $$ \text{I/O} \;\ge\; \begin{cases} 4u^2\,n^2 + \tfrac45 M & u \le 1/2 \quad (4d^2 \le M \le 2nd)\\
# (4u - 1)\,n^2 + \tfrac35 M & u \ge 1/2\end{cases} $$
#
# and never less than $4nd$: the inputs are loaded, the output is stored. These are theorems with proofs that run
# (`iosim prove io_in_a_large_fast_memory`, `iosim prove io_in_any_fast_memory`). Per $n^2$, and without what
# it has of $M$, that is `phi` below. Three schedules come close:
#
# | fast memory | schedule | words |
# |---|---|---|
# | $u \le 1$, $M \ge d^2$ | FlashAttention-2's order: queries stay, keys pass by | $4u^2 n^2$ |
# | $1 \le u \le 2$ | two passes: scores stored, made with whole rows of queries in fast memory | $(1+u)^2 n^2$ |
# | $u \ge 2$, $M \le d^2/4$ | two passes: scores stored, both products by square tiles | $(4u+1)\, n^2$ |
#
# Do they? The formulas are for large $n$ and $d$; here are exact counts beside them, and the best schedule is found
# by counting.

# %%
from math import sqrt

import matplotlib.pyplot as plt

import iosim
from iosim.bounds.open_problems import WIDEST
from iosim.bounds.open_problems import best_known as envelope
from iosim.bounds.open_problems import proved as phi
from iosim.plots import COLOURS

n, d = 2**24, 512
sizes = {u: round((d / u) ** 2) for u in (1 / 8, 1 / 4, 1 / 2, 0.7, 1, 1.25, 1.5, 2, 3, 4, 8, 16)}
found = {point.fast_memory_words: point for point in iosim.tune(n=n, d=d, M=sorted(sizes.values())).points}
print("     u          M    phi   proved  counted  formula   counted/proved  best schedule")
for u, M in sizes.items():
    best = found[M]
    proved, counted = best.lower_bound_words / n**2, best.io_words / n**2
    print(f"{u:6.3f} {M:10,} {phi(u):6.3f} {proved:8.3f} {counted:8.3f} {envelope(u):8.3f}", end=" ")
    print(f"{best.io_over_lower_bound:16.3f}  {best.schedule}")
    assert phi(u) * 0.999 <= proved * 1.001 <= counted * 1.001
    assert abs(counted / envelope(u) - 1) < 0.11
    assert best.io_over_lower_bound < WIDEST * 1.02

# %% [markdown]
# Between the best schedule and the bound there is at most a factor $4/3$, at $M = d^2$; from $M = 4d^2$ on, which is
# where GPUs are, it is 1 up to a few per cent, and **FlashAttention-2's order is optimal, with its constant**:
# $4n^2d^2/M$.
#
# ## Who is optimal where
#
# Constants matter within one order of growth, too. FlashAttention's first paper has the loops the other way round,
# and moves $O$ and the statistics again and again: $6n^2d^2/M$ with the best tiles, $12n^2d^2/M$ with its own.

# %%
n, d = 2**16, 64
memories = [int(2 ** (k / 4)) for k in range(36, 93)]  # 512 words to 2nd
names = ("standard", "fused", "two-pass", "flash1", "flash2")
colours = dict(zip(names, ("#000000", COLOURS[4], COLOURS[2], COLOURS[3], COLOURS[0]), strict=True))


best = iosim.tune(n=n, d=d, M=memories)
bound = [point.lower_bound_words / n**2 for point in best.points]
curves = {name: iosim.tune(name, n=n, d=d, M=memories) for name in names}
assert all(curve.holds for curve in (best, *curves.values()))  # no point is below its lower bound
assert min(point.io_words for point in curves["standard"].points) > 4 * n**2

figure, axes = plt.subplots(figsize=(7, 4.2), dpi=110)
for name in names:
    points = curves[name].points
    axes.plot(
        [point.fast_memory_words for point in points],
        [point.io_words / n**2 for point in points],
        color=colours[name],
        label=name,
        linewidth=1.4,
    )
axes.plot(memories, bound, color="0.35", linestyle="--", label="lower bound", linewidth=1.4)
axes.fill_between(memories, 1e-4, bound, color="0.9", linewidth=0)
for M, label in ((d**2 / 4, "$d^2/4$"), (d**2, "$d^2$"), (4 * d**2, "$4d^2$"), (n * d, "$nd$")):
    axes.axvline(M, color="0.7", linewidth=0.6)
    axes.text(M, 75, f" {label}", fontsize=8, va="top")
axes.set(xscale="log", yscale="log", ylim=(3e-3, 100), xlabel="fast memory M (words)", ylabel="words moved / $n^2$")
axes.set_xlim(memories[0], memories[-1])
axes.set_title(f"best schedule of each algorithm, n = {n:,}, d = {d}", fontsize=10)
axes.legend(fontsize=8, loc="lower left")
plt.show()

# %%
print("          M  best of all             each algorithm's words over the lower bound")
for point in best.points[::4]:
    others = ((name, curves[name].at(point.fast_memory_words)) for name in names)
    each = "  ".join(f"{name} {own.io_words / point.lower_bound_words:.2f}" for name, own in others if own)
    print(f"{point.fast_memory_words:11,}  {point.schedule:22}  {each}")

# %% [markdown]
# The grey ground cannot be entered. Read from left to right:
#
# * In a small fast memory, $M \ll d^2$, **the unfused algorithm is optimal**: storing the scores costs $n^2$ words
#   once, and then both products are done by square tiles, $4u\,n^2$. A schedule that never stores a score moves at
#   least $(2 + 2\sqrt 2)\,u\,n^2 = 4.83\,u\,n^2$, by a theorem of its own; `fused` has $2\sqrt 6 = 4.90$.
# * At $M = d^2/4$ whole rows of queries begin to fit, at $M = d^2$ FlashAttention-2's order takes over.
# * From $M = 2nd$ on what counts is reading the inputs: $4nd$ words, a line of slope 0. Between there is a
#   second-order term, $2nd$, of which $\tfrac45 M$ is proved to be necessary.
# * `standard`, with scores and probabilities in slow memory, stays above $4n^2$ however large $M$ gets: `flash1` and
#   `flash2` are not better by a constant but by $d^2/M$.

# %%
from iosim.bounds.exact import NEVER_SPILLED

small, M = iosim.Problem(n=2**24, d=4096), 2**14
kept = NEVER_SPILLED.words(small.setting(M, properties={"no recomputation", "no spilling"}))
two_pass, fused = (iosim.tune(name, n=small.n, d=small.d, M=[M]).points[0] for name in ("two-pass", "fused"))
u = small.d / sqrt(M)
print(f"u = {u:g}; words moved / (u n^2):")
for what, words in (
    ("any schedule, proved", two_pass.lower_bound_words),
    ("two passes, counted", two_pass.io_words),
    ("no score stored, proved", kept),
    ("no score stored, counted", fused.io_words),
):
    print(f"  {what:25} {words / u / small.n**2:.3f}")
assert two_pass.io_words < kept <= fused.io_words  # so storing the scores really pays

# %% [markdown]
# ## Saha and Ye's picture, with real constants
#
# Saha and Ye (2024) showed that the I/O of attention is $\Theta\!\left(n^2d^2/M\right)$ for $M \ge d^2$ and
# $\Theta\!\left(n^2d/\sqrt M\right)$ below. Theta hides a constant. It can now be drawn: what is proved and what is
# counted, both divided by their formula.


# %%
def saha_ye(M):
    return n**2 * d**2 / M if d**2 <= M else n**2 * d / sqrt(M)


upper = [point.io_words / saha_ye(point.fast_memory_words) for point in best.points]
lower = [point.lower_bound_words / saha_ye(point.fast_memory_words) for point in best.points]
figure, axes = plt.subplots(figsize=(7, 3.2), dpi=110)
axes.fill_between(memories, lower, upper, color=COLOURS[5], alpha=0.35, label="between: not known", linewidth=0)
axes.plot(memories, upper, color=COLOURS[0], label="best schedule, counted")
axes.plot(memories, lower, color="0.35", linestyle="--", label="lower bound, proved")
axes.axvline(d**2, color="0.7", linewidth=0.6)
axes.axvline(n * d, color="0.7", linewidth=0.6)
axes.text(d**2, 7.8, " $M = d^2$", fontsize=8, va="top")
axes.text(n * d, 7.8, " $nd$", fontsize=8, va="top")
axes.set(xscale="log", ylim=(0, 8), xlim=(memories[0], memories[-1]), xlabel="fast memory M (words)")
axes.set_ylabel("constant in front of\nSaha and Ye's formula")
axes.legend(fontsize=8, loc="lower left")
plt.show()

inside = [k for k, M in enumerate(memories) if 4 * d**2 <= M <= n * d / 32]
print(f"4 d^2 <= M <= nd/32: constant from {min(lower[k] for k in inside):.2f} to {max(upper[k] for k in inside):.2f}")
assert all(3.99 < lower[k] < upper[k] < 4.3 for k in inside)

# %% [markdown]
# On the whole plateau the constant is **4**, from both sides. At $M = d^2$ it is somewhere from 3 to 4, and to the
# left it comes near 4 again as $M/d^2 \to 0$; their formula is a corner there, the true curve has none. Beyond
# $M = nd$ the formula goes on falling while the inputs still have to be read.
