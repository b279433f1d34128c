"""Traces and caches as plainly as they can be said, for small sizes: what compiled code is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from iosim.expr import evaluate_int
from iosim.interpret.steps import steps
from iosim.program import Alloc, Column, Compute, Coordinates, Load, Point, Region, Span, Store, View
from iosim.traces.homes import homes, region_at

READ, UPDATE, WRITE, LOAD, STORE = range(5)


def trace(program, sizes, places):
    """The words of a program without lookups: moves and uses, as (address, kind), one after the other."""
    return list(_trace(program, sizes, {place.name: place.start for place in places}))


def _trace(program, sizes, start) -> Iterator[tuple[int, int]]:
    at_home = homes(program, sizes)
    born = {}  # tile -> its words by index
    for step in steps(program, sizes):
        match step.statement:
            case Load(region=region, tile=tile):
                words = _region(step, region, sizes, start)
                yield from ((words[index], LOAD) for index in sorted(words))
                born[tile] = _home(step, tile, at_home, sizes, start)
                if at_home[tile] != region_at(region, sizes):
                    yield from _copied(words, born[tile])
            case Alloc(tile=tile, fill=fill):
                born[tile] = _home(step, tile, at_home, sizes, start)
                if fill is not None:
                    yield from ((born[tile][index], WRITE) for index in sorted(born[tile]))
            case Store(view=view, region=region):
                words, source = _region(step, region, sizes, start), _view(step, view, born)
                if words != source:
                    yield from _copied(source, words)
                yield from ((words[index], STORE) for index in sorted(words))
            case Compute(op=op, operands=operands):
                yield from _uses(
                    step, op, {name: _view(step, v, born) for (name, _), v in zip(op.operands, operands, strict=True)}
                )
            case _:
                pass


def _copied(source, target):
    for index in sorted(source):
        yield source[index], READ
        yield target[index], WRITE


def _home(step, tile, at_home, sizes, start):
    if at_home[tile] is not None:
        return _region(step, at_home[tile], sizes, start)
    shape = step.shape(tile.shape)
    return {index: start[tile.name] + n for n, index in enumerate(product(*map(range, shape)))}


def _region(step, region: Region, sizes, start):
    """Address by index of the tile."""
    shape = [evaluate_int(size, sizes) for size in region.array.shape]
    choices = []
    for axis in region.axes:
        index = step.indices([axis])[0]
        choices.append(
            range(index.start, index.stop)
            if isinstance(index, slice)
            else [index]
            if isinstance(axis, Point)
            else index
        )
    found = {}
    for position in product(*(range(len(choice)) for choice in choices)):
        address = 0
        for choice, size, at in zip(choices, shape, position, strict=True):
            address = address * size + choice[at]
        kept = tuple(at for at, axis in zip(position, region.axes, strict=True) if isinstance(axis, Span | Coordinates))
        found[kept] = start[region.array.name] + address
    return found


def _view(step, view: View, born):
    begins = [index.start for index in step.indices(view.axes)]
    shape = step.shape(view.shape)
    return {
        index: born[view.tile][tuple(begin + at for begin, at in zip(begins, index, strict=True))]
        for index in product(*map(range, shape))
    }


def _uses(step, op, words):
    names = [name for name, _ in op.operands]
    axes = dict(op.operands)
    shapes = [step.shape(view.shape) for view in step.statement.operands]
    sizes = {
        x: size for name, shape in zip(names, shapes, strict=True) for x, size in zip(axes[name], shape, strict=False)
    }
    kinds = {n: READ if i >= op.updates else WRITE if n in op.fresh else UPDATE for i, n in enumerate(names)}
    params = {k: step.rows[v.index][v.column] if isinstance(v, Column) else v for k, v in step.statement.params}
    text = op.uses
    if not text:
        text = " ".join(
            "".join(f"{x}(" for x in axes[n]) + n + ")" * len(axes[n])
            for n in names[op.updates :] + names[: op.updates]
        )
    first = params.get("first", 0)
    first = first if isinstance(first, int) else evaluate_int(first, step.values)
    lists = iter([listed[first:] for listed in op.gather(sizes, params)]) if "@" in text else iter(())
    tree, rest = _parsed(text.replace("(", " ( ").replace(")", " ) ").split(), lists)
    assert not rest
    yield from _walk(tree, {}, sizes, axes, words, kinds)


def _parsed(tokens, lists):
    tree = []
    while tokens and tokens[0] != ")":
        if len(tokens) > 1 and tokens[1] == "(":
            inner, rest = _parsed(tokens[2:], lists)
            tree.append((tokens[0], inner))
            tokens = rest[1:]
        else:
            name, _, letter = tokens[0].partition("@")
            tree.append((name, letter, next(lists)) if letter else name)
            tokens = tokens[1:]
    return tree, tokens


def _walk(tree, at, sizes, axes, words, kinds):
    for item in tree:
        match item:
            case str():
                yield words[item][tuple(at[letter] for letter in axes[item])], kinds[item]
            case (letter, list(inner)):
                for value in range(sizes[letter]):
                    yield from _walk(inner, {**at, letter: value}, sizes, axes, words, kinds)
            case (name, letter, listed):
                if at[letter] < len(listed) and listed[at[letter]] >= 0:
                    index = tuple(at.get(axis, listed[at[letter]]) for axis in axes[name])
                    yield words[name][index], kinds[name]


def cached(accesses, lines, policy, *, line=1, ways=None):
    """Words loaded and stored by a cache of so many lines, lines loaded for the first time, and what goes in and out.

    Args:
        accesses: (address, kind) each.
        policy: lru, fifo or opt.

    Returns: loads, stores, compulsory loads, and the loads and stores as accesses of words.
    """
    ways = ways or lines
    sets = [[] for _ in range(lines // ways)]
    numbers = [address // line for address, _ in accesses]
    never = len(accesses)
    following, seen_later = [], {}
    for number, (_, kind) in reversed(list(zip(numbers, accesses, strict=True))):
        following.append(seen_later.get(number, never))
        seen_later[number] = never if kind == WRITE and line == 1 else never - len(following)
    following.reverse()
    last = {number: time for time, number in enumerate(numbers)}
    seen, dirty, next_use, used = set(), set(), {}, {}
    loads = stores = first = 0
    out = []
    for time, (number, (_, kind)) in enumerate(zip(numbers, accesses, strict=True)):
        held = sets[number % len(sets)]
        made = kind == WRITE and line == 1
        if policy == "opt" and made and number in held:
            held.remove(number)  # a value that nobody reads any more
            dirty.discard(number)
        if number not in held:
            if len(held) == ways:
                # of lines that are not read again, the one first that was used longest ago
                latest = max(held, key=lambda x: (next_use[x], -used[x])) if policy == "opt" else None
                victim = held[0] if latest is None else latest
                held.remove(victim)
                dead = policy == "opt" and next_use[victim] == never and last[victim] > time
                if victim in dirty and not dead:
                    stores += line
                    out += [(victim * line + word, WRITE) for word in range(line)]
                dirty.discard(victim)
            held.append(number)
            if not made:
                loads += line
                first += line * (number not in seen)
                out += [(number * line + word, READ) for word in range(line)]
        elif policy == "lru":
            held.remove(number)
            held.append(number)
        seen.add(number)
        next_use[number], used[number] = following[time], time
        if kind != READ:
            dirty.add(number)
    out += [(number * line + word, WRITE) for number in sorted(dirty) for word in range(line)]
    return loads, stores + line * len(dirty), first, out
