"""Computation graphs from files and to files: HyperDAG (`.hdag`) and lists of edges.

A HyperDAG file has a hyperedge for each node that others need: its source, then those. Lines that begin with % are
comments. The first other line says how many hyperedges, nodes and pins there are. Two variants are in use:

    OneStopParallel (`.hdag`)     pins (hyperedge, node), then nodes (node, work, communication)
    HyperDAG_DB, version 1        hyperedges (hyperedge, weight, ...), then nodes, then pins

They are told apart by the number of lines; of each hyperedge the first pin is the source. Both are read, the first is
written. Weights are not used: a node is one word. A list of edges has one pair of names a line, operand first; # begins a
comment.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from iosim.errors import UsageError
from iosim.pebbling.graph import Cdag, from_edges, make
from iosim.table_files import write_whole

_MOST_BYTES, _MOST_NODES = 10**7, 10**6  # far more than can be searched


def read_graph(path: str) -> Cdag:
    """The graph in a file, each of its edges a term.

    Args:
        path: `.hdag`; any other file is a list of edges.

    Raises:
        UsageError: the file can't be read, a line is not what it should be, or there is a cycle; says which line.
    """
    lines = _lines(path)
    return _hyperdag(path, lines) if path.endswith(".hdag") else _edges(path, lines)


def write_hdag(graph: Cdag, path: str) -> None:
    """Writes the graph as OneStopParallel reads it.

    A term of several operands of a node that has others becomes a node of its own, since a file knows only edges. Work is
    the number of operands (1 for an input), communication 1 word.

    Raises:
        UsageError: the file can't be written.
    """
    graph = graph.with_products()
    sources = [node for node in range(graph.size) if graph.successors[node]]
    pins = [(edge, node) for edge, source in enumerate(sources) for node in (source, *sorted(graph.successors[source]))]
    lines = [f"% {graph.title}", *(f"% node {node}: {name}" for node, name in enumerate(graph.names))]
    lines.append(f"{len(sources)} {graph.size} {len(pins)}")
    lines += [f"{edge} {node}" for edge, node in pins]
    lines += [f"{node} {max(1, len(others))} 1" for node, others in enumerate(graph.predecessors)]
    write_whole(path, lambda part: part.write_text("\n".join(lines) + "\n", encoding="utf-8"))


def _lines(path: str) -> list[tuple[int, str]]:
    """The lines with something in them, and their numbers."""
    try:
        if Path(path).stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path}: more than {_MOST_BYTES:,} bytes; allowed: graphs of a few dozen nodes")
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"--graph {path}: {error.strerror}; allowed: a file with a graph, or like fft:8, grid:4x5, matmul:2x3x2"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a text file ({error.reason}); allowed: .hdag, or a list of edges") from error
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _edges(path: str, lines: Sequence[tuple[int, str]]) -> Cdag:
    edges = []
    for number, line in lines:
        words = line.partition("#")[0].replace("->", " ").split()
        if not words:
            continue
        if len(words) != 2:
            raise UsageError(f"{path}, line {number}: {line.strip()[:80]!r}; allowed: two names, operand and result")
        edges.append((words[0], words[1]))
    if not edges:
        raise UsageError(f"{path}: no edges; allowed: two names a line, operand and result")
    return from_edges(edges, title=Path(path).name)


def _hyperdag(path: str, lines: Sequence[tuple[int, str]]) -> Cdag:
    rows = [(number, _numbers(path, number, line)) for number, line in lines if not line.lstrip().startswith("%")]
    if not rows or len(rows[0][1]) < 3:
        raise UsageError(f"{path}: no line with the numbers of hyperedges, nodes and pins; allowed: HyperDAG files")
    (number, (hyperedges, nodes, pins, *_)), *rest = rows
    if not 0 <= nodes <= _MOST_NODES:
        raise UsageError(f"{path}, line {number}: {nodes:,} nodes; allowed: 0 to {_MOST_NODES:,}")
    if len(rest) == hyperedges + nodes + pins and hyperedges:
        first = hyperedges + nodes
    elif len(rest) in (pins, pins + nodes):
        first = 0
    else:
        raise UsageError(
            f"{path}: {len(rest)} lines after line {number}; allowed: {pins} pins and {nodes} nodes"
            f" (or {hyperedges} hyperedges, then nodes, then pins)"
        )
    members: dict[int, list[int]] = {}
    for number, row in rest[first : first + pins]:
        if len(row) < 2 or not (0 <= row[0] < hyperedges and 0 <= row[1] < nodes):
            raise UsageError(
                f"{path}, line {number}: {' '.join(map(str, row))}; allowed: a hyperedge from 0 to {hyperedges - 1} and a "
                f"node from 0 to {nodes - 1}"
            )
        members.setdefault(row[0], []).append(row[1])
    terms: dict[str, list[frozenset[int]]] = {str(node): [] for node in range(nodes)}
    for source, *others in members.values():
        for node in others:
            terms[str(node)].append(frozenset([source]))
    return make(terms, title=Path(path).name)


def _numbers(path: str, number: int, line: str) -> list[int]:
    words = line.partition("%")[0].split()
    try:
        return [int(word) for word in words]
    except ValueError as error:
        raise UsageError(f"{path}, line {number}: {line.strip()[:80]!r}; allowed: whole numbers") from error
