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
# # 3. FlashAttention's figure 2
#
# FlashAttention (Dao et al., NeurIPS 2022) explains its speed by data movement. Its Figure 2 has, for GPT-2 medium's
# attention ($n = 1024$, $d = 64$, 16 heads, batch 64, fp16, on an A100), a table of what moves between HBM and the
# chip, forward and backward, and a plot of forward traffic and time over the block size. What of it comes out of
# counting, with no constant fitted?
#
# What is counted here are programs: the paper's Algorithm 0 and Algorithm 1 with its own tiles. What PyTorch adds to
# standard attention (mask, dropout) and the backward passes are derived by hand in
# [`benchmarks/gpt2_medium.py`](../benchmarks/gpt2_medium.py): it says which step reads and writes which array.

# %%
import sys

import matplotlib.pyplot as plt

sys.path.insert(0, "..")  # for benchmarks
import iosim
from algorithms.flash1 import flash1
from algorithms.flash2 import flash2
from benchmarks import gpt2_medium as gpt2
from iosim.bounds.exact import greatest
from iosim.plots import COLOURS

n, d, instances = gpt2.N, gpt2.D, gpt2.INSTANCES
problem = iosim.Problem(n=n, d=d)
print(f"{instances:,} heads with n = {n:,}, d = {d}; an n x n array of all: {instances * 2 * n * n / 1e9:.2f} GB,")
print(f"an n x d array: {instances * 2 * n * d / 1e9:.3f} GB")

# %% [markdown]
# ## Block size against traffic
#
# Algorithm 1 keeps a block of $B_c$ keys and values on the chip and moves $Q$, $O$ and the statistics past it, once
# for each block: about $(3 + 3\lceil n/B_c \rceil)\,nd$ words. So the traffic falls with the block size, as in the
# paper's plot, by the number of blocks. What the plot does not show is how much of the 192 KiB of a multiprocessor a
# block takes.

# %%
blocks = (64, 128, 256, 384, 512)
traffic, queries_stay = [], []
print("B_c  blocks  forward GB  on the chip")
for B_c in blocks:
    plan = flash1.published(problem, 4 * d * B_c)  # the paper's rule, B_c = ceil(M/4d), the other way round
    assert plan.sizes["B_c"] == B_c
    found = gpt2.flash_forward_traffic(4 * d * B_c)
    assert found.data + found.statistics == plan.io_words == plan.closed_form_words
    traffic.append(found.gigabytes)
    other = flash2.explicit(problem, {"B_r": B_c, "B_c": 64})
    queries_stay.append(2 * instances * other.io_words / 1e9)
    bytes_used = 2 * plan.peak_words
    fits = "fits" if plan.peak_words <= gpt2.SM_WORDS else "does not fit"
    print(f"{B_c:3}  {-(-n // B_c):6}  {traffic[-1]:10.2f}  {bytes_used / 1024:6.0f} KiB, {fits} in 192 KiB")

(best,) = iosim.tune(n=n, d=d, M=gpt2.SM_WORDS).points
floor = 2 * instances * greatest(problem.setting(gpt2.SM_WORDS))[1] / 1e9
figure, axes = plt.subplots(figsize=(5.5, 3.4), dpi=110)
axes.plot(blocks, traffic, "o-", color=COLOURS[1], label="Algorithm 1: keys stay")
axes.plot(blocks, queries_stay, "s-", color=COLOURS[0], label="FlashAttention-2's order: queries stay")
axes.axhline(floor, color="0.35", linestyle="--", label="every schedule, 192 KiB")
axes.set(xlabel="block size", ylabel="forward traffic (GB)", ylim=(0, None), xticks=blocks)
axes.legend(fontsize=8)
plt.show()
assert traffic == sorted(traffic, reverse=True)
assert floor <= 2 * instances * best.io_words / 1e9 <= min(queries_stay[:4])

# %% [markdown]
# With the loops exchanged, as in FlashAttention-2, the same block size moves about two thirds of that: $O$ stays
# instead of passing by.
#
# ## GPT-2 medium's totals
#
# | | published |
# |---|---|
# | standard attention, forward + backward | 40.3 GB |
# | FlashAttention, forward + backward | 4.4 GB |

# %%
print(f"standard attention, published {gpt2.PUBLISHED_STANDARD} GB")
for reading in (gpt2.PLAIN, *gpt2.READINGS):
    print(
        f"  {reading.gigabytes:5.2f} GB  {reading.n_n!s:>2} passes over n x n, {reading.n_d} over n x d: {reading.name}"
    )
plan = gpt2.standard_forward()
print(f"  its forward pass without mask and dropout is a program: {plan.io_words:,} words a head")
assert plan.io_words == 4 * n * n + 4 * n * d  # S stored and loaded, P stored and loaded; Q, K, V, O once

forward, tiles = gpt2.flash_forward_traffic(), gpt2.flash_forward().sizes
both = gpt2.flash_traffic()
print(f"\nFlashAttention, published {gpt2.PUBLISHED_FLASH} GB")
print(
    f"  {both.gigabytes:5.2f} GB  of which {forward.gigabytes:.2f} GB forward, counted; blocks of {tiles['B_c']} keys"
)
for kibibytes in (100, 128, 164, 192, 228):
    words = kibibytes * 2**10 // 2
    print(f"  {gpt2.flash_traffic(words).gigabytes:5.2f} GB  with blocks for {kibibytes} KiB")
    assert (f"{gpt2.flash_traffic(words).gigabytes:.1f}" == gpt2.PUBLISHED_FLASH) == (kibibytes >= 192)

assert f"{gpt2.READINGS[1].gigabytes:.1f}" == gpt2.PUBLISHED_STANDARD
assert f"{both.gigabytes:.1f}" == gpt2.PUBLISHED_FLASH

# %% [markdown]
# ## What matches
#
# * **40.3 GB** is 18 passes over $n \times n$ arrays and 12 over $n \times d$ ones: PyTorch's separate operations,
#   with a mask that is added and a dropout mask of a byte an entry. Of three ways to mask, one fits; it was picked
#   because it fits.
# * **4.4 GB** is Algorithms 1 and 4 with the paper's tiles for 192 KiB, 3 blocks of keys, statistics in fp32. Forward
#   is counted, backward derived.
# * The ratio of the two, nine, is thereby a matter of passes: 18 of length $n$ against some 30 of length $d$ =
#   $n/16$.
#
# ## What does not
#
# * The traffic of FlashAttention is that between one *multiprocessor* and what is behind it. HBM is behind the L2,
#   which holds all of a head many times over; so HBM could see every array once.
# * The tiles that fit the number are those for all 192 KiB, caches and shared memory together; at most 164 KiB of an
#   A100's multiprocessor can be shared memory, for which it would be 5.48 GB.
# * The backward tiles fill the fast memory with $K$, $V$, $dK$, $dV$ alone: nothing is left for $Q$, $dO$ and the
#   scores.
# * The GFLOPs in the same table are less than a twelfth of what these heads compute.

# %%
head, once = 4 * n * d * 2, 4 * instances * 2 * n * d / 1e9
print(f"a head's Q, K, V and O: {head / 2**10:.0f} KiB, the L2 has {2 * gpt2.L2_WORDS / 2**20:.0f} MiB")
print(f"forward, each array once: {once:.2f} GB, counted for a multiprocessor: {forward.gigabytes:.2f} GB")
kept = gpt2.backward_blocks_words(tiles["B_c"])
print(f"backward blocks: {kept:,} words of {gpt2.SM_WORDS:,}")
for name, (published, times) in gpt2.PUBLISHED_GFLOPS.items():
    flops = instances * times * n * n * d / 1e9
    print(f"{name}: {published} GFLOPs published, {times} n^2 d for {instances:,} heads are {flops:.0f}")
    assert 12 * published < flops
assert kept == gpt2.SM_WORDS
assert head < 2 * gpt2.L2_WORDS

# %% [markdown]
# ## And how little could it be?
#
# The best exact schedule for the same 192 KiB, by counting, and what no schedule can go below:

# %%
print(f"Algorithm 1, its tiles    {forward.gigabytes:5.2f} GB forward")
print(f"{best.schedule:25} {2 * instances * best.io_words / 1e9:5.2f} GB")
print(f"every schedule            {floor:5.2f} GB")
