"""A computation graph for the pebble games: nodes, the terms that make each one, and which of them must be kept.

A node is a word. An *input* has no terms: it is in slow memory at the start. Every other node is made of one or more
*terms*, each a step that needs some other nodes, its operands:

    classical game                      one term with all predecessors: the node is computed in one step
    partial computations (PRBP)         one term for each edge: the node is a sum, to which each predecessor is added alone
    products that are accumulated       one term for each product: O_il = sum_j P_ij V_jl has the terms {P_ij, V_jl}

so that one game (`iosim.pebbling.game`) plays all of them. What a term does to the node is up to the reader; the first
one makes it, the others update it in place, in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from iosim.errors import UsageError


@dataclass(frozen=True)
class Cdag:
    """A computation DAG whose nodes are made of terms.

    Attributes:
        names: of the nodes; a node is its position here.
        terms: of each node, the operands of each of its terms; no terms for an input.
        outputs: the nodes that must be in slow memory at the end.
        title: what it is a graph of, for people.

    Raises:
        UsageError: a term without operands or with an unknown one, a repeated name, or a cycle.
    """

    names: tuple[str, ...]
    terms: tuple[tuple[frozenset[int], ...], ...]
    outputs: frozenset[int]
    title: str = "graph"

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise UsageError(f"{self.title}: two nodes are called {twice}; allowed: different names")
        known = range(len(self.names))
        for node, terms in enumerate(self.terms):
            for operands in terms:
                if not operands:
                    raise UsageError(
                        f"{self.title}: a term of {self.names[node]} has no operands; allowed: at least one"
                    )
                for other in operands:
                    if other not in known:
                        raise UsageError(
                            f"{self.title}: {self.names[node]} needs node {other}; allowed: 0 to {known[-1]}"
                        )
        # two terms with the same operands can always be done together
        object.__setattr__(self, "terms", tuple(tuple(dict.fromkeys(terms)) for terms in self.terms))
        _ = self.order

    @property
    def size(self) -> int:
        """Nodes."""
        return len(self.names)

    @property
    def inputs(self) -> tuple[int, ...]:
        """The nodes that are in slow memory at the start."""
        return tuple(node for node, terms in enumerate(self.terms) if not terms)

    @cached_property
    def predecessors(self) -> tuple[frozenset[int], ...]:
        """Of each node, the operands of all its terms."""
        return tuple(frozenset().union(*terms) for terms in self.terms)

    @cached_property
    def successors(self) -> tuple[frozenset[int], ...]:
        """Of each node, the nodes that it is an operand of."""
        found: list[set[int]] = [set() for _ in self.names]
        for node, others in enumerate(self.predecessors):
            for other in others:
                found[other].add(node)
        return tuple(map(frozenset, found))

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The nodes, each after its predecessors."""
        left = [len(others) for others in self.predecessors]
        ready = [node for node, count in enumerate(left) if not count]
        for node in ready:  # grows
            for other in self.successors[node]:
                left[other] -= 1
                if not left[other]:
                    ready.append(other)
        if len(ready) < self.size:
            raise UsageError(f"{self.title}: a cycle, {self._cycle(set(ready))}; allowed: graphs without cycles")
        return tuple(ready)

    @cached_property
    def numbered_terms(self) -> tuple[tuple[int, frozenset[int]], ...]:
        """Of each term, by its number, the node and the operands: node by node, in order."""
        return tuple((node, term) for node in self.order for term in self.terms[node])

    def _cycle(self, ordered: set[int]) -> str:
        """A cycle among the nodes that could not be ordered: each of them has a predecessor there."""
        path = [next(node for node in range(self.size) if node not in ordered)]
        while True:
            before = min(other for other in self.predecessors[path[-1]] if other not in ordered)
            if before in path:
                cycle = [before, *reversed(path[path.index(before) :])]
                return " -> ".join(self.names[node] for node in cycle)
            path.append(before)

    @cached_property
    def compulsory_words(self) -> int:
        """Inputs that some output needs, each loaded, and outputs that are not inputs, each stored. Units: words."""
        needed = self.relevant()
        loaded = sum(node in needed and bool(self.successors[node]) for node in self.inputs)
        return loaded + sum(bool(self.terms[node]) for node in self.outputs)

    def relevant(self) -> frozenset[int]:
        """The nodes that some output needs, outputs among them."""
        found = set(self.outputs)
        for node in reversed(self.order):
            if node in found:
                found |= self.predecessors[node]
        return frozenset(found)

    def trimmed(self) -> Cdag:
        """Without the nodes that no output needs: no optimal schedule touches them."""
        keep = sorted(self.relevant())
        if len(keep) == self.size:
            return self
        new = {node: position for position, node in enumerate(keep)}
        terms = tuple(tuple(frozenset(new[x] for x in term) for term in self.terms[node]) for node in keep)
        names = tuple(self.names[node] for node in keep)
        return replace(self, names=names, terms=terms, outputs=frozenset(new[node] for node in self.outputs))

    def classical(self) -> Cdag:
        """For the classical game: every node is computed in one step, of all its predecessors."""
        return replace(self, terms=tuple((others,) if others else () for others in self.predecessors))

    def with_products(self) -> Cdag:
        """Every term of several operands of a node that has other terms becomes a node of its own."""
        names, terms = list(self.names), [list(made_of) for made_of in self.terms]
        for node, made_of in enumerate(self.terms):
            for number, term in enumerate(made_of):
                if len(made_of) > 1 and len(term) > 1:
                    terms[node][number] = frozenset([len(names)])
                    names.append("*".join(self.names[x] for x in sorted(term)))
                    terms.append([term])
        return replace(self, names=tuple(_different(names)), terms=tuple(map(tuple, terms)))

    def least_capacity(self, *, overwrite: bool) -> int:
        """The fewest words of fast memory in which some schedule computes every node. Units: words.

        A term needs its operands and the node itself at once. Where a result may replace an operand, the first term of a
        node needs one word less; the largest term is best done first.
        """
        least = 1
        for terms in self.terms:
            sizes = sorted((len(term) for term in terms), reverse=True)
            if sizes:
                first, *others = sizes
                least = max(least, first + (not overwrite), *(size + 1 for size in others[:1]))
        return least


def _different(names: Sequence[str]) -> list[str]:
    """The names, repeated ones with a number."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return found


def from_edges(edges: Iterable[tuple[str, str]], *, title: str = "graph") -> Cdag:
    """The graph with these edges, played with partial computations: each edge is a term of its own; nodes without
    successors are outputs.

    Args:
        edges: pairs of names, from operand to result. For the classical game, take `.classical()` of the graph.

    Raises:
        UsageError: a cycle, or an edge from a node to itself.

    Example:
        >>> graph = from_edges([("a", "c"), ("b", "c")])
        >>> graph.compulsory_words  # load a and b, store c
        3
    """
    pairs = list(dict.fromkeys(edges))
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    number = {name: position for position, name in enumerate(names)}
    terms: list[list[frozenset[int]]] = [[] for _ in names]
    for start, end in pairs:
        if start == end:
            raise UsageError(f"{title}: an edge from {start} to itself; allowed: graphs without cycles")
        terms[number[end]].append(frozenset([number[start]]))
    return make(dict(zip(names, terms, strict=True)), title=title)


def make(
    terms: Mapping[str, Sequence[frozenset[int]]], *, outputs: Sequence[str] | None = None, title: str = "graph"
) -> Cdag:
    """The graph with these nodes by name; outputs are the nodes without successors if not given."""
    names = tuple(terms)
    for name in outputs or ():
        if name not in terms:
            raise UsageError(f"{title}: the output {name} is no node; nodes are {', '.join(names[:10])}")
    used = {node for made_of in terms.values() for term in made_of for node in term}
    kept = [names.index(name) for name in outputs] if outputs is not None else set(range(len(names))) - used
    return Cdag(names, tuple(map(tuple, terms.values())), frozenset(kept), title)


def of_names(
    terms: Mapping[str, Sequence[Iterable[str]]], *, outputs: Sequence[str] | None = None, title: str = "graph"
) -> Cdag:
    """As `make`, with operands by name."""
    number = {name: position for position, name in enumerate(terms)}
    return make(
        {name: [frozenset(number[x] for x in term) for term in made_of] for name, made_of in terms.items()},
        outputs=outputs,
        title=title,
    )
