"""In which order do keys enter the feature sums, and when do queries use them? Two stages, or one pass for a mask.

Where every query meets every key, all keys are added, the sums are weighed in place, and then all queries use them. Under
a mask without an end at the back (causal, or `band:all,AHEAD`) the keys that a query meets are those of the query before
it and one more. So the two stages become one pass over positions: a key is added, the query of that position uses the
sums as they are then, and so on. The same words move as in two stages, and nothing more is held.

The pass may go over B positions at a time, as chunkwise linear attention does: B - 1 keys of the chunk and their values
wait in fast memory while the queries use the sums without them and meet them score by score, the polynomial taken
exactly; then they are added. That moves the same words; B = 1, where none waits, needs the least fast memory.

Source: Katharopoulos et al., Transformers are RNNs, ICML 2020 (the prefix state of causal linear attention); Hua et al.,
Transformer Quality in Linear Time, ICML 2022 (chunks of it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from algorithms.shared.attention import arrays
from iosim import Builder, Mask, Size, maximum
from iosim.builder import ArrayHandle, Extent, Index, TileHandle
from iosim.program import Region, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Keys and values that wait in fast memory, and the positions that they belong to.

    Attributes:
        index: the loop over chunks.
        first: keys that come before the one of position 0.
        k: the keys of all positions of the chunk but the first.
        v: some columns of their values.
    """

    index: Index
    first: Size
    k: TileHandle
    v: TileHandle


Add: TypeAlias = Callable[[TileHandle, TileHandle | View, Index], None]  # keys, values, columns
Use: TypeAlias = Callable[[Index, Extent, Chunk | None], None]  # rows of Q, keys in the sums, keys that wait


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSums:
    """How sums of features of keys are made and used.

    Attributes:
        b: the builder of the program.
        n: positions of queries.
        n_k: keys.
        mask: which keys a query meets; one without an end at the back.
        g: rows of Q for each position, the queries of heads that share the keys.
        B: positions at a time, under a mask.
        N: rows of Q or K at a time.
        c: columns of V at a time.
        degree: of the polynomial.
        coefficients: of the polynomial, c_0, ..., c_degree; None in a program that is only counted.
    """

    b: Builder
    n: Size
    n_k: Size
    mask: Mask
    g: Size
    B: Size
    N: Size
    c: Size
    degree: int
    coefficients: tuple[float, ...] | None

    @property
    def rows(self) -> Size:
        """Rows of Q."""
        return self.n * self.g

    @property
    def own(self) -> Size:
        """Positions that meet a key which the position before did not meet."""
        if self.mask.full:
            return 0
        assert self.mask.ahead is not None
        return self.n - self.mask.ahead if self.mask.ahead == 0 else maximum(0, self.n - self.mask.ahead)

    @property
    def first(self) -> Size:
        """Keys that come before the one of position 0."""
        return self.n_k - self.own

    def arrays(self, *, d: Size, d_v: Size) -> tuple[ArrayHandle, ArrayHandle, ArrayHandle, ArrayHandle]:
        """Declares Q, K, V and O."""
        return arrays(self.b, n=self.n, n_k=self.n_k, d=d, d_v=d_v, mask=self.mask, g=self.g)

    def run(
        self,
        K: Callable[[Any], Region],
        V: Callable[[Any, Any], Region],
        *,
        add_key: Callable[[TileHandle], None],
        add: Sequence[tuple[Size, Size, Add]],
        weigh: Callable[[], None],
        use: Use | None,
    ) -> None:
        """The whole order.

        Args:
            K: the region of some rows of K that is loaded.
            V: the region of some rows of V and some columns, counted from the first that is needed.
            add_key: what is done with each tile of keys once.
            add: from a column, up to a column: what is done with each tile of keys and a tile of their values there.
            weigh: what is done once all keys are added, if every query meets all of them.
            use: what is done with rows of Q; it is told how many keys each sum holds, and the chunk that waits. None if that
                comes later, which it can where every query meets all keys.
        """
        b = self.b

        def stream(stop: Extent, start: Extent) -> None:
            with b.tiles("j", stop, self.N, start=start) as j, b.load(K(j)) as k:
                add_key(k)
                for begin, end, put in add:
                    with b.tiles("l", end, self.c, start=begin) as l, b.load(V(j, l)) as v:
                        put(k, v, l)

        if not (isinstance(self.first, int) and self.first == 0):
            stream(self.first, 0)
        if self.mask.full:
            weigh()
            if use is not None:
                with b.tiles("i", self.rows, self.N) as i:
                    use(i, self.n_k, None)
            return
        assert use is not None
        with b.tiles("p", self.own, self.B) as p:
            stream(self.first + p.start + 1, self.first + p.start)
            waiting = slice(self.first + p.start + 1, self.first + p.stop)
            with b.load(K(waiting)) as k, b.load(V(waiting, slice(0, add[-1][1]))) as v:
                with b.tiles("i", self.g * p.stop, self.N, start=self.g * p.start) as i:
                    use(i, self.first + p.start + 1, Chunk(index=p, first=self.first, k=k, v=v))
                add_key(k)
                for begin, end, put in add:
                    with b.tiles("l", end, self.c, start=begin) as l:
                        put(k, v[:, l], l)
        if self.mask.ahead != 0:
            with b.tiles("i", self.rows, self.N, start=self.g * self.own) as i:
                use(i, self.n_k, None)

    # Operations

    def add_products(self, W: View, k: TileHandle, v: TileHandle | View, phi: Any) -> None:
        """Adds to W, for each key, each of its features times its values."""
        if self.mask.full:
            self.b.op("add_features", W, k, v, monomials=phi, degree=self.degree)
        else:
            self.b.op(
                "add_weighted_features", W, k, v, monomials=phi, coefficients=self.coefficients, degree=self.degree
            )

    def add_sums(self, w: TileHandle, k: TileHandle, phi: Any) -> None:
        """Adds to w, for each key, each of its features."""
        if self.mask.full:
            self.b.op("add_feature_sums", w, k, monomials=phi, degree=self.degree)
        else:
            self.b.op(
                "add_weighted_feature_sums", w, k, monomials=phi, coefficients=self.coefficients, degree=self.degree
            )

    def use_products(
        self, y: TileHandle, q: TileHandle, W: View, phi: Any, count: Size, i: Index, l: Index, chunk: Chunk | None
    ) -> None:
        """Adds to y, for each query, the part of its numerators that W and the chunk that waits make up.

        Args:
            phi: the monomials.
            count: how many they are.
            i: the rows of Q that q holds.
            l: the columns of V.
        """
        self.b.op("add_feature_products", y, q, W, monomials=phi, degree=self.degree)
        if chunk is not None:
            with self._waiting(chunk) as x:
                self.b.op(
                    "add_seen_products", y, q, chunk.k[x, :], chunk.v[x, l], **self._seen(phi, count, i, x, chunk)
                )

    def use_sums(
        self, z: TileHandle, q: TileHandle, w: TileHandle, phi: Any, count: Size, i: Index, chunk: Chunk | None
    ) -> None:
        """Adds to z, for each query, the part of its normaliser that w and the chunk that waits make up."""
        self.b.op("add_feature_products", z, q, w, monomials=phi, degree=self.degree)
        if chunk is not None:
            with self._waiting(chunk) as x:
                self.b.op("add_seen_sums", z, q, chunk.k[x, :], **self._seen(phi, count, i, x, chunk))

    def use_counts(self, z: TileHandle, i: Index, keys: Extent, chunk: Chunk | None) -> None:
        """Adds to z, for each query, the constant monomial once for each key that it meets."""
        if chunk is None:
            self.b.op("add_constant", z, coefficients=self.coefficients, times=keys)
        else:
            self.b.op(
                "add_key_counts", z, coefficients=self.coefficients, before=chunk.first + 1, row=i.start, group=self.g
            )

    def _waiting(self, chunk: Chunk) -> Any:
        """A loop over the keys that wait; none if B = 1."""
        return self.b.tiles("x", chunk.index.length - 1, self.N)

    def _seen(self, phi: Any, count: Size, i: Index, x: Index, chunk: Chunk) -> dict[str, object]:
        return {
            "monomials": phi,
            "coefficients": self.coefficients,
            "count": count,
            "degree": self.degree,
            "row": i.start,
            "column": chunk.index.start + 1 + x.start,
            "group": self.g,
        }
