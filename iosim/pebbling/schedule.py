"""A pebbling as a program, to be checked and counted like any other: each node an array of one word."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from iosim.builder import ArrayHandle, Builder, TileHandle
from iosim.ops import Op
from iosim.pebbling.graph import Cdag
from iosim.pebbling.moves import Move, MoveKind
from iosim.program import Program


def program(graph: Cdag, moves: Sequence[Move], name: str = "pebbling") -> Program:
    """The moves as statements. Inputs are inputs, outputs are outputs that need all inputs they depend on, and other nodes
    that move are scratch.

    To have values to compare, a term is taken for the product of its operands and a node for the sum of its terms.

    Raises:
        ProgramError: a move that no program can express: of a node that is not where the move needs it.
    """
    b = Builder()
    terms = graph.numbered_terms
    names = identifiers(graph.names)
    arrays: dict[int, ArrayHandle] = {}
    moved = {move.what for move in moves if move.kind in (MoveKind.LOAD, MoveKind.STORE)}
    inputs = [node for node in graph.inputs if node in moved]
    for node in inputs:
        arrays[node] = b.input(names[node], (1,))
    depends = _inputs_of(graph)
    for node in graph.order:
        if not graph.terms[node] and node not in inputs:
            continue
        if node in graph.outputs and graph.terms[node]:
            needed = [arrays[x] for x in sorted(depends[node]) if x in arrays]
            arrays[node] = b.output(names[node], (1,), needs=lambda _, needed=needed: tuple(x[:] for x in needed))
        elif node in moved and graph.terms[node]:
            arrays[node] = b.scratch(names[node], (1,))
    tiles: dict[int, TileHandle] = {}
    replaced: int | None = None
    for kind, what in moves:
        match kind:
            case MoveKind.LOAD:
                tiles[what] = b.load(arrays[what][:])
            case MoveKind.STORE:
                b.store(tiles[what], arrays[what][:])
            case MoveKind.DISCARD:
                b.free(tiles.pop(what))
            case MoveKind.REPLACE:
                replaced = what
            case MoveKind.TERM:
                node, operands = terms[what]
                if replaced is not None:
                    others = sorted(operands - {replaced})
                    tiles[node] = tiles.pop(replaced)
                    b.op(_times(len(others)), tiles[node], *(tiles[x] for x in others))
                    replaced = None
                    continue
                first = node not in tiles
                if first:
                    tiles[node] = b.empty(names[node], 1)
                b.op(_term(len(operands), first), tiles[node], *(tiles[x] for x in sorted(operands)))
    for tile in tiles.values():
        b.free(tile)
    return b.finish(name, ())


def values(graph: Cdag, inputs: Mapping[int, float]) -> dict[int, float]:
    """What each node is worth, if a term is the product of its operands and a node the sum of its terms."""
    found = dict(inputs)
    for node in graph.order:
        if graph.terms[node]:
            found[node] = sum(float(np.prod([found[x] for x in term])) for term in graph.terms[node])
    return found


def listing(graph: Cdag, moves: Sequence[Move]) -> list[str]:
    """One line a move, but for discards, which stand with the move after them."""
    terms = graph.numbered_terms
    lines, before, made = [], "", set[int]()
    for kind, what in moves:
        name = graph.names[what] if kind != MoveKind.TERM else ""
        match kind:
            case MoveKind.DISCARD:
                before += f"discard {name}, "
                made.discard(what)
                continue
            case MoveKind.REPLACE:
                before += f"in place of {name}: "
                made.discard(what)
                continue
            case MoveKind.LOAD:
                text = f"load {name}"
                made.add(what)
            case MoveKind.STORE:
                text = f"store {name}"
            case MoveKind.TERM:
                node, operands = terms[what]
                sign = "+=" if node in made else "="
                text = f"{graph.names[node]} {sign} f({', '.join(graph.names[x] for x in sorted(operands))})"
                made.add(node)
        lines.append(before + text)
        before = ""
    return lines + ([before.removesuffix(", ")] if before else [])


def _inputs_of(graph: Cdag) -> list[set[int]]:
    found: list[set[int]] = [set() for _ in graph.names]
    for node in graph.order:
        found[node] = set().union(
            {node} if not graph.terms[node] else (), *(found[x] for x in graph.predecessors[node])
        )
    return found


def identifiers(names: Sequence[str]) -> list[str]:
    """The names with letters, digits and underscores only, all different."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W+", "_", name).strip("_")
        plain = plain if plain[:1].isalpha() else f"x_{plain}"
        while plain in found:
            plain += "_"
        found.append(plain)
    return found


def _operands(count: int) -> str:
    return " ".join(f"x{i}[i]" for i in range(count))


def _term(count: int, first: bool) -> Op:
    """y = x0 x1 ..., or y += x0 x1 ... ."""
    factors = " ".join(f"{{x{i}}}" for i in range(count))

    def meaning(y: NDArray[np.float64], *x: NDArray[np.float64]) -> None:
        y[:] = np.prod(x, axis=0) + (0.0 if first else y)

    return Op(
        name="make_term" if first else "add_term",
        shapes=f"y[i] {_operands(count)}",
        updates=1,
        fresh=("y",) if first else (),
        text=f"{{y}} {'=' if first else '+='} {factors}",
        flops=lambda n, _: n["i"] * (count if not first else count - 1),
        numpy=meaning,
    )


def _times(count: int) -> Op:
    """y = y x0 x1 ... : a result in the place of one of its operands."""

    def meaning(y: NDArray[np.float64], *x: NDArray[np.float64]) -> None:
        for factor in x:
            y *= factor

    return Op(
        name="replace_by_term",
        shapes=f"y[i] {_operands(count)}".strip(),
        updates=1,
        text=f"{{y}} = {{y}} {' '.join(f'{{x{i}}}' for i in range(count))}".strip(),
        flops=lambda n, _: n["i"] * count,
        numpy=meaning,
    )
