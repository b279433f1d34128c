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
# # 5. Write your own algorithm
#
# From pseudo-code to a count, a proof of its closed form, a numeric check and a plot. The example is how one would
# compute attention without knowing the trick of FlashAttention: for a tile of queries, keep *all their scores* in
# fast memory, take the softmax when they are complete, then multiply by $V$. Nothing but the inputs and the output
# moves. Is that not as good?
#
# ## Pseudo-code
#
# The program is written against a builder, in the letters of a paper. A loop's body runs once, with a symbolic index.

# %%
from math import inf

import matplotlib.pyplot as plt
import numpy as np
import sympy

import iosim
from iosim import Builder, Schedule, Size, Tiled, ceil_div, maximum
from iosim.plots import COLOURS


def whole_rows(b: Builder, *, n: Size, d: Size, B_r: Size, f: Size) -> None:
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs="O[i,l] <- Q[i,:], K[:,:], V[:,l]")
    with b.tiles("i", n, B_r) as i, b.zeros("s", i, n) as s:
        with b.load(Q[i, :]) as q, b.tiles("j", n, f) as j, b.load(K[j, :]) as k:
            b.op("add_abt", s[:, j], q, k)  # s[:, j] += q k^T
        b.op("divide_by_sqrt", s, of=d)
        with b.full("m", i, fill=-inf) as m, b.zeros("l", i) as l:
            b.op("row_statistics", m, l, s)
            b.op("softmax", s, m, l)
        with b.zeros("o", i, d) as o:
            with b.tiles("j", n, f) as j, b.load(V[j, :]) as v:
                b.op("add_ab", o, s[:, j], v)
            b.store(o, O[i, :])


# %% [markdown]
# An algorithm is such programs with a name, the tile sizes that may be chosen, and what is claimed of them. A first
# guess: each word of $Q$, $K$, $V$ and $O$ moves once, so $4nd$ words.


# %%
def algorithm(io):
    schedule = Schedule(
        name="whole rows",
        author=whole_rows,
        tiles={"B_r": "n"},  # chosen by exact counting; it cuts the axis n
        streams={"f": "n"},  # rows of K and V that pass by at a time: one
        io=io,
        # the scores, with q and a row of K or with o and a row of V; or with m, l and a new maximum
        peak=lambda *, n, d, B_r, f: maximum(B_r * n + B_r * d + f * d, B_r * n + 2 * B_r + 1),
    )
    return Tiled(name="mine", summary="all scores of a tile of queries", source="this page", schedules=(schedule,))


guess = algorithm(lambda *, n, d, B_r, f: 4 * n * d)
print(iosim.render(guess.program(guess.schedules[0])))

# %% [markdown]
# ## A count
#
# One run picks the tiles, counts the program at these sizes, checks every rule of the machine, computes the result on
# random data, and holds all of it against the claims. The guess does not survive:

# %%
wrong = iosim.run(guess, n=1000, d=64, M="100KB")
for check in wrong.checks:
    print("holds" if check.holds else "FAILS", check.name, "-", check.found)
assert not wrong.holds

# %% [markdown]
# $K$ and $V$ are read once for each tile of queries. The count in symbols says what should have been claimed:

# %%
program = guess.program(guess.schedules[0])
print(iosim.count(program, {"f": 1}).io_words)

mine = algorithm(lambda *, n, d, B_r, f: 2 * n * d + 2 * n * d * ceil_div(n, B_r))
right = iosim.run(mine, n=1000, d=64, M="100KB")
assert right.holds
right

# %% [markdown]
# ## A proof
#
# That the closed form is right at $n = 1000$ was counted. That it is right at *every* size is an identity between two
# expressions, the claim and the count, which sums loops in symbols and never runs them; a ragged last tile is in the
# ceiling.

# %%
n, d, B_r = iosim.symbols("n", "d", "B_r")
claim = 2 * n * d + 2 * n * d * ceil_div(n, B_r)
assert iosim.count(program, {"f": 1}).io_words == claim
assert iosim.count(program, {"f": 1}).io_words != claim + 2 * d  # a check that can fail

# %% [markdown]
# What does it come to? The fast memory holds $n + d$ words for each query of the tile and a row of $K$, so
# $B_r(n + d) + d \le M$: the more keys, the smaller the tiles. Whatever tile sizes are chosen, then,
#
# $$ \text{I/O} \;\ge\; 2nd + \frac{2n^2d\,(n + d)}{M}. $$
#
# An inequality for all real numbers is something that a solver can prove. Beside each step stands a stronger
# statement that has to fail; a proof that proves too much is no proof.

# %%
from sympy import Eq, Ge, Le

from iosim.proof import prove

N, D, M, tiles, rows, io = sympy.symbols("n d M tiles B_r io", positive=True)
given = [Ge(tiles * rows, N), Le(rows * (N + D) + D, M)]  # the tiles cover all queries; they fit
enough = prove(
    "the number of tiles", Ge(tiles * M, N * (N + D)), given=given, refuted=Ge(tiles * M, N * (N + 2 * D) + M)
)
fact = prove(
    "the traffic",
    Ge(io, 2 * N * D + 2 * N**2 * D * (N + D) / M),
    given=[*given, Eq(io, 2 * N * D + 2 * N * D * tiles)],
    using=[enough],
    refuted=Ge(io, 2 * N * D + 3 * N**2 * D * (N + D) / M),
)
for step in fact.steps:
    print(step, f"[{step.method.name.lower()}]")
    print("    and not more:", step.refuted)
assert fact.trust.name == "PROVED"

# %% [markdown]
# So it grows with the **cube** of $n$, where FlashAttention-2 has $4n^2d^2/M$. To keep the scores out of slow memory
# is not enough: they fill the fast memory that should hold queries. What FlashAttention does about it is the online
# softmax, with which a score is used up as soon as it is there.
#
# ## Numerics
#
# At sizes that nothing divides, against softmax in numpy:

# %%
plan = mine.explicit(iosim.Problem(n=203, d=17), {"B_r": 29})
rng = np.random.default_rng(1)
Q, K, V = rng.standard_normal((3, 203, 17))
O = iosim.execute(plan.program, plan.sizes, {"Q": Q, "K": K, "V": V})["O"]
weights = np.exp(Q @ K.T / np.sqrt(17))
off = abs(O - weights / weights.sum(axis=1, keepdims=True) @ V).max()
print("off by less than 1e-14:", off < 1e-14)
assert off < 1e-14
assert iosim.violations(plan.program, plan.sizes, plan.peak_words) == []
assert iosim.violations(plan.program, plan.sizes, plan.peak_words - 1) != []

# %% [markdown]
# ## A plot

# %%
capacity = 50_000
lengths = [int(2 ** (k / 2)) for k in range(14, 36)]
fitting = [length for length in lengths if length + 2 * 64 <= capacity]  # a query's scores with q and a row of K
ours = [iosim.tune([mine], n=length, d=64, M=[capacity]).points[0] for length in fitting]
flash2 = [iosim.tune("flash2", n=length, d=64, M=[capacity]).points[0] for length in lengths]

figure, axes = plt.subplots(figsize=(5.5, 3.6), dpi=110)
axes.plot(fitting, [p.io_words for p in ours], "o-", color=COLOURS[1], markersize=3, label="mine, counted")
axes.plot(lengths, [p.io_words for p in flash2], "s-", color=COLOURS[0], markersize=3, label="flash2, counted")
axes.plot(lengths, [p.lower_bound_words for p in flash2], "--", color="0.35", label="every schedule, proved")
axes.set(xscale="log", yscale="log", xlabel="n", ylabel="words moved")
axes.set_title(f"d = 64, M = {capacity:,} words", fontsize=10)
axes.legend(fontsize=8)
plt.show()

times = ours[-1].io_words / flash2[len(ours) - 1].io_words
print(f"n = {fitting[-1]:,}: {times:.0f} times what flash2 moves")
print(f"n = {lengths[len(ours)]:,}: one query's scores no more fit in fast memory")
assert all(point.lower_bound_words <= point.io_words for point in ours)

# %% [markdown]
# The file with `whole_rows` and `mine` in it works on the command line as well:
# `iosim run --algo my_file.py:mine --n 1000 --M 100KB`.
