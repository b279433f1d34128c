"""Random bad schedules of attention, word by word: legal, and as wasteful as a proof should be able to stand.

A schedule works off the products P_ij V_jl of a random mask in random order. On the way it spills partial scores and
partial outputs and loads them again, forms products apart and adds them later, throws scores away and builds them once
more for the next column, throws outputs away and starts over, builds scores that nobody asked for, and loads words for
nothing. Nothing here knows of the auditor: what is legal is kept by the bookkeeping below.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from random import Random

from iosim.interpret.words.events import (
    Discarded,
    Event,
    Exponentiated,
    Loaded,
    Merged,
    Multiplied,
    Place,
    Stored,
    Variable,
    WordTrace,
)

_PATIENCE = 200  # steps after which nothing is wasted any more, so that every schedule ends


@dataclass
class Word:
    variable: Variable
    terms: set[int]
    exponentiated: bool = False


def bad_schedule(seed: int, *, tied: bool = False, fused: bool = False) -> tuple[WordTrace, int]:
    """A random schedule and the fast memory that it has.

    Args:
        seed: of everything that is random.
        tied: the values are the first columns of K.
        fused: no score is stored or computed twice.
    """
    rng = Random(f"{seed} {tied} {fused}")
    d = rng.choice((1, 1, 2, 2, 3, 4))
    d_v = rng.randint(1, d) if tied else rng.choice((1, d, rng.randint(1, 4)))
    n_q, n_k = rng.randint(1, 5), rng.randint(1, 5)
    density = rng.choice((0.3, 0.7, 1.0))
    pairs = {(i, j) for i, j in product(range(n_q), range(n_k)) if rng.random() < density}
    pairs |= {(i, rng.randrange(n_k)) for i in range(n_q)}  # every query meets some key
    capacity = rng.choice((3, 4, 5, 6, 7, 8, 10, 12, 19, 22, 30, 45))
    writer = _Writer(rng, pairs, (n_q, n_k), d, d_v, capacity, tied, fused)
    writer.work()
    outputs = {Place("O", (i, l)): Variable("O", i, l) for i in range(n_q) for l in range(d_v)}
    return WordTrace(events=tuple(writer.events), d=d, d_v=d_v, outputs=outputs, pairs=frozenset(pairs)), capacity


class _Writer:
    def __init__(self, rng, pairs, sizes, d, d_v, capacity, tied, fused) -> None:
        self.rng, self.pairs, self.sizes, self.d, self.d_v = rng, pairs, sizes, d, d_v
        self.capacity, self.tied, self.fused = capacity, tied, fused
        self.spills, self.wastes, self.apart = (rng.choice((0.0, 0.1, 0.4, 0.8)) for _ in range(3))
        self.forgets = rng.choice((0.0, 0.3, 0.8, 1.0))
        self.fast: dict[int, Word] = {}
        self.slow: list[tuple[Place, Word]] = []  # stored words of scores and outputs that are still of use
        self.events: list[Event] = []
        self.born = self.scratch = 0

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    # Moves

    def room(self, keep: tuple[int, ...]) -> None:
        while len(self.fast) >= self.capacity:
            self.evict(self.rng.choice([w for w in self.fast if w not in keep]))

    def born_word(self, word: Word) -> int:
        self.born += 1
        self.fast[self.born] = word
        return self.born

    def discard(self, w: int) -> None:
        self.events.append(Discarded(w))
        del self.fast[w]

    def store(self, w: int, place: Place | None = None) -> None:
        if place is None:
            self.scratch += 1
            place = Place("scratch", (self.scratch,))
        self.events.append(Stored(w, place))
        word = self.fast[w]
        self.slow.append((place, Word(word.variable, set(word.terms), word.exponentiated)))

    def evict(self, w: int) -> None:
        kind = self.fast[w].variable.kind
        kept = {"O": self.fused or not self.chance(0.1 * self.wastes), "S": not self.fused and self.chance(self.spills)}
        if kept.get(kind):
            self.store(w)
        self.discard(w)

    def load(self, place: Place, word: Word, keep: tuple[int, ...]) -> int:
        self.room(keep)
        w = self.born_word(Word(word.variable, set(word.terms), word.exponentiated))
        self.events.append(Loaded(w, word.variable, place))
        return w

    def input(self, variable: Variable, keep: tuple[int, ...]) -> int:
        for w, word in self.fast.items():
            if word.variable == variable and not self.chance(0.1 * self.wastes):
                return w
        return self.load(Place(variable.kind, (variable.row, variable.column)), Word(variable, set()), keep)

    def found(self, variable: Variable, keep: tuple[int, ...]) -> int | None:
        """A word of a score or output, from fast memory or from where it was stored."""
        there = [w for w, word in self.fast.items() if word.variable == variable]
        if there:
            return self.rng.choice(there)
        stored = [entry for entry in self.slow if entry[1].variable == variable]
        if not stored or self.chance(self.apart):
            return None
        entry = self.rng.choice(stored)
        self.slow.remove(entry)
        return self.load(*entry, keep)

    # Arithmetic

    def multiply(self, left: int, right: int, into: int | None, variable: Variable, term: int, keep) -> int:
        """Adds a product to `into`, at once or by way of a word of its own; a new word if there is none."""
        separate = into is not None and len(keep) < self.capacity and self.chance(self.apart)
        if into is not None and not separate:
            self.events.append(Multiplied(left, right, into, creates=False))
            self.fast[into].terms.add(term)
            return into
        self.room(keep)
        made = self.born_word(Word(variable, {term}))
        self.events.append(Multiplied(left, right, made, creates=True))
        if into is None:
            return made
        self.merge(into, made)
        return into

    def merge(self, into: int, other: int) -> None:
        self.events.append(Merged(into, other))
        self.fast[into].terms |= self.fast[other].terms
        self.discard(other)

    def score(self, i: int, j: int) -> int:
        """A probability P_ij, from whatever is left of it."""
        variable = Variable("S", i, j)
        w = self.found(variable, ())
        if w is not None and self.fast[w].exponentiated:
            return w
        missing = [l for l in range(self.d) if w is None or l not in self.fast[w].terms]
        self.rng.shuffle(missing)
        for l in missing:
            held = () if w is None else (w,)
            q = self.input(Variable("Q", i, l), held)
            k = self.input(Variable("K", j, l), (*held, q))
            w = self.multiply(q, k, w, variable, l, (*held, q, k))
            if not self.fused and self.chance(0.3 * self.spills):
                self.store(w)  # a partial score goes and comes back
                self.discard(w)
                w = self.load(*self.slow.pop(), ())
        assert w is not None
        self.events.append(Exponentiated(w))
        self.fast[w].exponentiated = True
        return w

    # The work

    def todo(self) -> list[tuple[int, int, int]]:
        done = {
            (word.variable.row, j, word.variable.column)
            for word in (*self.fast.values(), *(word for _, word in self.slow))
            if word.variable.kind == "O"
            for j in word.terms
        }
        return sorted((i, j, l) for i, j in self.pairs for l in range(self.d_v) if (i, j, l) not in done)

    def work(self) -> None:
        steps = 0
        while todo := self.todo():
            steps += 1
            if steps > _PATIENCE:
                self.wastes = self.forgets = 0.0
            if self.chance(0.5 * self.wastes):
                self.waste()
                continue
            i, j, _ = self.rng.choice(todo)
            columns = [l for a, b, l in todo if (a, b) == (i, j)]
            self.rng.shuffle(columns)
            if not self.fused and self.chance(self.forgets):
                columns = columns[: self.rng.randint(1, len(columns))]
            p = self.score(i, j)
            for l in columns:
                self.attend(p, i, j, l)
            if self.fused or self.chance(self.forgets):
                self.discard(p)
        self.wastes = self.apart = 0.0
        for i in self.rng.sample(range(self.sizes[0]), self.sizes[0]):
            for l in range(self.d_v):
                self.finish(Variable("O", i, l))

    def attend(self, p: int, i: int, j: int, l: int) -> None:
        v = self.input(Variable("K" if self.tied else "V", j, l), (p,))
        variable = Variable("O", i, l)
        o = self.found(variable, (p, v))
        held = (p, v) if o is None else (p, v, o)
        o = self.multiply(p, v, o, variable, j, held)
        if self.chance(0.2 * self.wastes):
            self.events.append(Stored(o, Place("junk", (o,))))

    def waste(self) -> None:
        n_q, n_k = self.sizes
        i, j = self.rng.randrange(n_q), self.rng.randrange(n_k)
        kind = self.rng.choice("QKVSS")
        if kind == "S" and not self.fused:
            w = self.score(i, j)  # nobody asked for it; often the pair is not even in the mask
            if self.chance(0.5):
                self.discard(w)
        elif kind in "QK":
            self.input(Variable(kind, i if kind == "Q" else j, self.rng.randrange(self.d)), ())
        elif kind == "V" and not self.tied:
            self.input(Variable("V", j, self.rng.randrange(self.d_v)), ())

    def finish(self, variable: Variable) -> None:
        """All parts of an output are added up and stored."""
        w = self.found(variable, ())
        assert w is not None
        for other in [x for x, word in self.fast.items() if word.variable == variable and x != w]:
            self.merge(w, other)
        for entry in [entry for entry in self.slow if entry[1].variable == variable]:
            self.slow.remove(entry)
            self.merge(w, self.load(*entry, (w,)))
        self.store(w, Place("O", (variable.row, variable.column)))
        self.slow.pop()
        self.discard(w)
