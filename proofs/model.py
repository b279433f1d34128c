"""What the theorems speak of: the machine, the words, and the numbers that a schedule has.

**The machine.** Fast memory holds M words, slow memory any number. A load or a store moves one word; traffic is their
number. Inputs start in slow memory, fast memory starts empty, every word of O has to end in slow memory. Operations act
on words in fast memory, and operands and result are there together (a result does not take the place of an operand of
another variable). Operations, discarding and row statistics cost nothing.

**Words.** Q, K, V have the words Q_il, K_jl (l < d), V_jl (l < d_v). A word of the *pair* (i, j) is any partial sum of the
products Q_il K_jl, any function of one, or P_ij. A word of O_il is any partial sum of the products P_ij V_jl, up to
scaling. Partial sums of disjoint index sets may be added in any tree; copies, several accumulators, recomputation and
discarding are allowed. P_ij can be formed only from the sum over all l < d.

**Stays.** A variable is in fast memory while at least one word of it is; each maximal time of that is a *stay*. It begins
with a load, or, for pairs and O, with a creation (an operation). For each (i, j, l) one executed product P_ij V_jl whose
value is in the final O_il is *designated*. A stay of O is *counted* if a designated product is added in it; one of a pair
if it contains a load or a store of the pair or a designated product; those of Q, K and V always. A counted
stay of a pair that begins with a creation and contains neither load nor store is *free*.

**Problem.** N is the number of pairs that must meet, over all masks, heads and sequences of the batch: the theorems use
the mask through N only. Keys that several heads share are keys of one instance with all these heads' queries.
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import And, Ge, Implies, Integer
from sympy import Symbol as Variable

from iosim.bounds.bound import NAMES, Bound, Setting, Sized, symbols
from iosim.proof import Fact, cite, refute
from iosim.proof.reals import Measured
from iosim.proof.theorem import DEFINED, IO, expression_of, regime_of

_LETTERS = symbols()
N, n_q, n_k, d, d_v, M = (getattr(_LETTERS, name) for name in NAMES)
LETTERS = (N, n_q, n_k, d, d_v, M)


def measured(name: str, meaning: str, *of: Variable) -> Measured:
    """A number that a schedule has for a given problem and fast memory, and for what else it is counted with."""
    return Measured(name, meaning, of=(*LETTERS, *of))


def square(n: int, d: int, M: int, *, d_v: int | None = None, g: int | None = None) -> Setting:
    """The setting of n queries that meet n keys."""
    return Setting(N=n * n, n_q=n, n_k=n, d=d, d_v=d if d_v is None else d_v, M=M, g=g)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What refutes a statement: a schedule, and what it costs.

    Attributes:
        by: its order, for people.
        io: words that it moves.
        peak: words of fast memory that it needs.
        source: where that is counted.
    """

    by: str
    io: int
    peak: int
    source: str


def too_strong(text: str, bound: Bound, schedule: Schedule, at: Sized, *, times: object = 1, plus: object = 0) -> Fact:
    """A bound made stronger is false: here is a schedule that moves fewer words.

    Args:
        text: what the stronger bound would say.
        bound: the bound; its conditions have to hold at the sizes.
        schedule: the schedule.
        at: the sizes.
        times: factor that makes it stronger.
        plus: term that makes it stronger.
    """
    where = ", ".join(f"{name} = {size}" for name, size in at.sizes.items())
    moved = cite(
        f"{schedule.by}: {schedule.io:,} words moved with {schedule.peak:,} words of fast memory at {where}",
        schedule.source,
    )
    sizes = {DEFINED.get(name, Variable(name, positive=True)): at.sizes[name] for name in bound.letters}
    stronger = Ge(IO, expression_of(bound) * times + plus, evaluate=False)
    false = Implies(And(Ge(M, Integer(schedule.peak), evaluate=False), *regime_of(bound)), stronger)
    return refute(text, false, {**sizes, IO: schedule.io}, using=[moved])
