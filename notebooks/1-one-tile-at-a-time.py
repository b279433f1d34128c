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
# # 1. One tile at a time
#
# Attention on a machine with two memories, small enough to watch every word.
#
# **Slow memory** holds the inputs $Q, K, V$, four rows of two words each, and will hold the output $O$. **Fast
# memory** holds $M$ words, whatever they are: copies of inputs, scores, sums. Arithmetic happens on fast words only.
# What costs is to *load* a word from slow to fast memory, or to *store* one; the number of words that move is the
# **I/O** of the schedule.
#
# FlashAttention-2's order keeps a tile of $B_r$ queries with their outputs, row maxima $m$ and row sums $l$ in fast
# memory, while the rows of $K$ and $V$ pass by. Here it is as a program: a value that can be printed, counted,
# checked and executed.

# %%
import numpy as np
from drawing import film

import iosim
from algorithms.flash2 import flash2

rows = flash2.schedules[1]  # K and V pass by a row at a time
program = flash2.program(rows, iosim.Problem(n=4, d=2))
print(iosim.render(program))

# %% [markdown]
# ## Every move
#
# With $n = 4$, $d = 2$, tiles of $B_r = 2$ queries. Each picture is the moment after one load (blue frame in slow
# memory) or store (orange): above the four arrays, below the words that live in fast memory.

# %%
sizes = {"n": 4, "d": 2, "B_r": 2, "B_c": 1}
peak = iosim.peak_words(program, sizes)
film(program, sizes, capacity=peak)

# %% [markdown]
# Both tiles of queries see all keys and values go by. So each word of $Q$ and $O$ moves once, each word of $K$ and
# $V$ once *for each tile of queries*:
#
# $$ \text{I/O} = 2nd + 2nd \left\lceil \frac{n}{B_r} \right\rceil . $$
#
# That is not put in by hand. The program is counted, with numbers or with symbols, and what comes out is the formula:

# %%
counted = iosim.count(program, sizes)
print("loads ", dict(counted.loads), " stores", dict(counted.stores))
print("in all", counted.io_words, "words; in symbols:", iosim.count(program, {"B_c": 1}).io_words)

n, d, B_r = iosim.symbols("n", "d", "B_r")
assert iosim.count(program, {"B_c": 1}).io_words == 2 * n * d + 2 * n * d * iosim.ceil_div(n, B_r)
assert counted.io_words == 2 * 4 * 2 + 2 * 4 * 2 * 2

# %% [markdown]
# Counting does not run the loops, so $n$ may be anything:

# %%
for n_queries in (2**10, 2**20, 2**40):
    large = iosim.count(program, {"n": n_queries, "d": 64, "B_r": 128, "B_c": 1})
    print(f"n = {n_queries:>17,}: {large.io_words:>35,} words")

# %% [markdown]
# ## The same, a little larger
#
# With $n = 16$, $d = 4$ and $B_r = 4$ there are too many moves for pictures. Words of fast memory by array, over the
# words that have moved, and the iterations of the loops below: the tile of queries stays through an iteration of $i$,
# a row of $K$ and of $V$ come and go in each of $j$.

# %%
from iosim.plots import timeline_figure
from iosim.plots.timeline import moments

larger = {"n": 16, "d": 4, "B_r": 4, "B_c": 1}
timeline = timeline_figure(list(moments(program, larger)), M=iosim.peak_words(program, larger))
timeline.set_dpi(150)
timeline

# %% [markdown]
# ## How much fast memory?
#
# The most words that live at once: the tile of queries, their outputs, $m$ and $l$, one row of $K$ and of $V$, and
# for the arithmetic itself a score and the new maximum, $B_r(2d + 2) + 2d + 2$. With that many words the schedule is
# legal. With one less it is not, and the checker says where:

# %%
print(peak, "words at most;", "in symbols:", iosim.peak_words(program, {"B_c": 1}, tiles_fit=True))
print("with", peak, "words:", iosim.violations(program, sizes, peak) or "legal")
(violation,) = iosim.violations(program, sizes, peak - 1)
print("with", peak - 1, "words:", violation)

assert peak == 2 * (2 * 2 + 2) + 2 * 2 + 2

# %% [markdown]
# ## Is it attention?
#
# The same program on real numbers, tile by tile, against the softmax written down in one line:

# %%
rng = np.random.default_rng(0)
Q, K, V = rng.standard_normal((3, 4, 2))
O = iosim.execute(program, sizes, {"Q": Q, "K": K, "V": V})["O"]

weights = np.exp(Q @ K.T / np.sqrt(2))
expected = weights / weights.sum(axis=1, keepdims=True) @ V
print(O.round(6), "off by less than 1e-15:", abs(O - expected).max() < 1e-15, sep="\n")
assert abs(O - expected).max() < 1e-15

# %% [markdown]
# ## A taller tile
#
# $K$ and $V$ are loaded $\lceil n/B_r \rceil$ times: the taller the tile of queries, the less moves. What stops it
# from being as tall as $n$ is $M$. Each more row costs $2d + 2$ words; so $B_r \approx M/2d$ and the I/O about
# $4n^2d^2/M$, which is what the [next page](2-bounds-of-exact-attention.ipynb) is about.

# %%
print("B_r  I/O  peak")
for tile in (1, 2, 3, 4):
    chosen = {**sizes, "B_r": tile}
    print(f"{tile:3}  {iosim.count(program, chosen).io_words:3}  {iosim.peak_words(program, chosen):4}")
assert iosim.count(program, {**sizes, "B_r": 4}).io_words == 4 * 4 * 2  # each word of Q, K, V and O once
