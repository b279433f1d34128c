"""Computation graphs in files: what is written is read back, and what can't be read is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iosim.errors import UsageError
from iosim.pebbling.families import attention, fft
from iosim.pebbling.files import read_graph, write_hdag
from iosim.pebbling.graph import Cdag, from_edges


def _edges(graph: Cdag) -> set[tuple[int, int]]:
    return {(other, node) for node, others in enumerate(graph.predecessors) for other in others}


@given(st.sets(st.tuples(st.integers(0, 8), st.integers(0, 8)).filter(lambda e: e[0] < e[1]), min_size=1))
def test_written_graphs_are_read_back(tmp_path_factory: pytest.TempPathFactory, edges: set[tuple[int, int]]) -> None:
    """The same nodes in the same order, the same edges, the same outputs."""
    graph = from_edges([(f"n{a}", f"n{b}") for a, b in sorted(edges)])
    path = str(tmp_path_factory.mktemp("graph") / "g.hdag")
    write_hdag(graph, path)
    found = read_graph(path)
    assert (found.size, _edges(found), found.outputs) == (graph.size, _edges(graph), graph.outputs)


def test_products_are_written_as_nodes(tmp_path: Path) -> None:
    """A file knows only edges: of attention with 2 queries, keys and dimensions, each of the 8 + 8 products is a node."""
    graph = attention(2, 2, 2, 2)
    write_hdag(graph, str(tmp_path / "a.hdag"))
    found = read_graph(str(tmp_path / "a.hdag"))
    assert found.size == graph.size + 8 + 8
    # each product has 2 operands and goes to 1 sum
    assert len(_edges(found)) == 3 * 16


def test_the_file_is_as_onestopparallel_has_it(tmp_path: Path) -> None:
    """Comments, numbers of hyperedges, nodes and pins, pins with the source first, nodes with work and communication."""
    path = tmp_path / "g.hdag"
    write_hdag(from_edges([("a", "c"), ("b", "c")], title="two to one"), str(path))
    data = [line for line in path.read_text().splitlines() if not line.startswith("%")]
    assert data == ["2 3 4", "0 0", "0 1", "1 2", "1 1", "0 1 1", "1 2 1", "2 1 1"]


def test_both_variants_of_hyperdags_are_read(tmp_path: Path) -> None:
    """HyperDAG_DB lists hyperedges and nodes before the pins, OneStopParallel the nodes after them or not at all."""
    variants = {
        "osp": "% SpMV\n2 3 4\n0 0\n0 2\n1 1\n1 2\n0 1 1\n1 1 1\n2 2 1\n",
        "pins": "2 3 4\n0 0\n0 2\n1 1\n1 2\n",
        "db": "%% header\n% HyperDAG file format v1\n2 3 4 % sizes\n0 1\n1 1\n0 1\n1 1\n2 2\n0 0\n0 2\n1 1\n1 2\n",
    }
    for name, text in variants.items():
        path = tmp_path / f"{name}.hdag"
        path.write_text(text)
        graph = read_graph(str(path))
        assert (graph.size, _edges(graph), set(graph.outputs)) == (3, {(0, 2), (1, 2)}, {2})


def test_lists_of_edges(tmp_path: Path) -> None:
    """One edge a line, with or without an arrow; # begins a comment."""
    path = tmp_path / "g.txt"
    path.write_text("# a butterfly\na c\nb c\na -> d  # crosses\nb d\n\n")
    graph = read_graph(str(path))
    assert graph.names == ("a", "c", "b", "d")
    assert graph.compulsory_words == 4


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g.hdag", "", "no line with the numbers of hyperedges, nodes and pins"),
        ("g.hdag", "1 2 2\n0 0\n", r"1 lines after line 1; allowed: 2 pins and 2 nodes"),
        ("g.hdag", "1 2 2\n0 0\n0 x\n", "line 3: '0 x'; allowed: whole numbers"),
        ("g.hdag", "1 2 2\n0 0\n0 5\n", "line 3: 0 5; allowed: a hyperedge from 0 to 0 and a node from 0 to 1"),
        ("g.hdag", "2 2 4\n0 0\n0 1\n1 1\n1 0\n", "a cycle, 0 -> 1 -> 0"),
        ("g.hdag", "2 -2 2\n0 0\n0 1\n", "allowed"),
        ("g.txt", "", "no edges"),
        ("g.txt", "a b c\n", "line 1: 'a b c'; allowed: two names"),
        ("g.txt", "a b\nb a\n", "a cycle, a -> b -> a"),
        ("g.txt", "a a\n", "an edge from a to itself"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    """What is wrong is said with its line, and what is allowed."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_graph(str(path))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    """A missing file, a folder, a file that is not text, and a place that can't be written."""
    with pytest.raises(UsageError, match="No such file"):
        read_graph(str(tmp_path / "none.hdag"))
    with pytest.raises(UsageError, match="directory"):
        read_graph(str(tmp_path))
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not a text file"):
        read_graph(str(tmp_path / "bytes.txt"))
    with pytest.raises(UsageError, match="No such file"):
        write_hdag(fft(2), str(tmp_path / "no" / "g.hdag"))
