"""Random schedules of approximate attention, word by word, most of them bad, for the auditor."""

from __future__ import annotations

from itertools import product
from random import Random

from iosim.interpret.words.features import (
    ONES,
    Added,
    Discarded,
    Divided,
    Event,
    Factors,
    FeatureTrace,
    Formed,
    Loaded,
    Stored,
    Used,
    Word,
    monomials,
)


class _Writer:
    """Events, and what is in either memory."""

    def __init__(self, random: Random, g: int) -> None:
        self.random = random
        self.g = g
        self.events: list[Event] = []
        self.fast: set[Word] = set()
        self.slow: set[Word] = set()
        self.divided: set[tuple[int, int]] = set()  # row and column of outputs

    def ensure(self, word: Word) -> None:
        if word in self.fast:
            return
        self.fast.add(word)
        self.events.append(Loaded(word))

    def store(self, word: Word) -> None:
        self.events.append(Stored(word))
        self.slow.add(word)

    def drop(self, word: Word) -> None:
        self.events.append(Discarded(word))
        self.fast.remove(word)

    def clear(self, kinds: str, share: float = 0.5) -> None:
        """Some words of rows leave; a sum or an output first goes to slow memory."""
        for word in sorted(self.fast):
            if word.kind in kinds and self.random.random() < share:
                if word.kind in "WY":
                    self.store(word)
                self.drop(word)

    def product(self, kind: str, row: int, factors: Factors) -> tuple[Word, ...]:
        """Words of a row whose product is a monomial: single ones, or at times products formed before and kept."""
        if len(factors) > 1 and self.random.random() < 0.3:
            cut = self.random.randint(1, len(factors) - 1)
            parts = self.product(kind, row, factors[:cut])
            made = Word(kind, row, factors[:cut], -1)
            if len(parts) > 1:
                self.events.append(Formed(made, parts))
                self.fast.add(made)
            return (made, *self.product(kind, row, factors[cut:]))
        words = tuple(Word(kind, row, (x,), -1) for x in factors)
        for word in words:
            self.ensure(word)
        return words


def random_schedule(seed: int, *, again: bool = False, early: bool = False, nested: bool = False) -> FeatureTrace:
    """A legal schedule of a tiny problem.

    Args:
        seed: of everything.
        again: whether sums are computed twice now and then.
        early: whether sums are used with a part of the rows, the rest in another sum of the same label.
        nested: whether sums are used for parts of outputs that still have to be multiplied by words of the row.
    """
    random = Random(seed)
    n, d, g = random.randint(1, 4), random.randint(1, 2), random.randint(1, 3)
    write = _Writer(random, g)
    labels = [Word("W", -1, factors, l) for factors, l in product(monomials(d, g), (*range(d), ONES))]
    labels.remove(Word("W", -1, (), ONES))  # a constant
    random.shuffle(labels)
    chunks = [list(range(n))]
    if early:
        size = random.randint(1, n)
        chunks = [list(range(n))[start : start + size] for start in range(0, n, size)]
    started: set[Word] = set()
    while labels:
        group = [labels.pop() for _ in range(min(len(labels), random.randint(1, 6)))]
        for chunk in chunks:
            for turn in range(1 + (again and random.random() < 0.5)):
                _add(write, group, chunk, keep=not (again and turn == 0 and random.random() < 0.5))
                if any(label not in write.fast and label not in write.slow for label in group):
                    _add(write, group, chunk, keep=True)
                _use(write, group, n, started, nested=nested)
                for label in group:
                    if label in write.fast:
                        write.drop(label)
                    write.slow.discard(label)
        _divide(write, {label.column for label in labels}, n, d)
    for word in sorted(word for word in write.fast if word.kind == "Y" and word.column != ONES):
        write.store(word)
    return FeatureTrace(events=tuple(write.events), n=n, d=d, g=g)


def _add(write: _Writer, group: list[Word], chunk: list[int], *, keep: bool) -> None:
    """The rows in any order, with sums going out and coming back in between; at times all for nothing."""
    rows = list(chunk)
    write.random.shuffle(rows)
    begun: set[Word] = set()
    for row in rows:
        order = list(group)
        write.random.shuffle(order)
        for label in order:
            if label in begun:
                write.ensure(label)
            value = () if label.column == ONES else (Word("V", row, (), label.column),)
            for word in value:
                write.ensure(word)
            write.events.append(Added(label, (*value, *write.product("K", row, label.factors))))
            write.fast.add(label)
            begun.add(label)
            if write.random.random() < 0.2:
                write.clear("W", 0.3)
        write.clear("KV", write.random.choice((0.3, 1.0)))
    if not keep:
        for label in group:
            if label in write.fast:
                write.drop(label)
            write.slow.discard(label)


def _use(write: _Writer, group: list[Word], n: int, started: set[Word], *, nested: bool) -> None:
    """The queries in any order; outputs and parts of them stay, or are stored and come back."""
    rows = list(range(n))
    write.random.shuffle(rows)
    parts: set[Word] = set()
    for row in rows:
        for label in group:
            cut = write.random.randint(0, len(label.factors)) if nested else 0
            write.ensure(label)
            _into(write, Word("Y", row, label.factors[:cut], label.column), label, started)
            if cut:
                parts.add(Word("Y", row, label.factors[:cut], label.column))
            if write.random.random() < 0.3:
                write.clear("Y", 0.7)
        if write.random.random() < 0.5:
            _gather(write, parts, started)
        write.clear("Q", write.random.choice((0.3, 1.0)))
        if write.random.random() < 0.3:
            write.clear("W", 0.3)
    _gather(write, parts, started)


def _into(write: _Writer, output: Word, label: Word, started: set[Word]) -> None:
    """A sum, or a part of an output, is used for another one."""
    if output in started:
        write.ensure(output)
    factors = write.product("Q", output.row, label.factors[len(output.factors) :])
    write.events.append(Used(output, label, factors))
    write.fast.add(output)
    started.add(output)


def _gather(write: _Writer, parts: set[Word], started: set[Word]) -> None:
    """All parts are multiplied by what they lack, some by a factor after the other, and added to their outputs."""
    while parts:
        part = max(parts, key=lambda word: (len(word.factors), word))
        cut = write.random.randint(0, len(part.factors) - 1)
        whole = part._replace(factors=part.factors[:cut])
        write.ensure(part)
        _into(write, whole, part, started)
        write.drop(part)
        write.slow.discard(part)
        started.discard(part)
        parts.remove(part)
        if cut:
            parts.add(whole)


def _divide(write: _Writer, left: set[int], n: int, d: int) -> None:
    """Outputs to which no sums are left to be added are divided, once the same is true of the normaliser."""
    for row, l in product(range(n), range(d)):
        if ONES in left or l in left or (row, l) in write.divided:
            continue
        output, normaliser = Word("Y", row, (), l), Word("Y", row, (), ONES)
        write.ensure(output)
        write.ensure(normaliser)
        write.events.append(Divided(output, normaliser))
        write.divided.add((row, l))
        if write.random.random() < 0.5:
            write.clear("Y", 0.7)
