"""What is to be computed? The sizes of a problem, and the letters by which authors of programs know them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from iosim.bounds.bound import Property, Setting
from iosim.errors import UsageError
from iosim.expr import evaluate_int, monomial_count, symbol
from iosim.masks import FULL, AnyMask


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is to be computed: attention of n queries over n_k keys, in d dimensions, once for each of several heads.

    Attributes:
        n: queries of a head.
        d: head dimension of Q and K.
        n_k: keys; 0 stands for as many as queries.
        d_v: head dimension of V and O; 0 stands for d.
        batch: sequences.
        kv_heads: key heads of a sequence.
        group: query heads that share the keys and values of a key head (grouped-query attention).
        mask: which keys a query meets.
        tied: whether V is the first d_v columns of K.
        degree: of the polynomial in place of the exponential, for approximate algorithms.
        coefficients: of that polynomial, c_0, ..., c_degree, once they are known; they move nothing.
        settings: of an approximate method, by name.
    """

    n: int
    d: int
    n_k: int = 0
    d_v: int = 0
    batch: int = 1
    kv_heads: int = 1
    group: int = 1
    mask: AnyMask = FULL
    tied: bool = False
    degree: int = 2
    coefficients: tuple[float, ...] | None = None
    settings: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_k", self.n_k or self.n)
        object.__setattr__(self, "d_v", self.d_v or self.d)
        self.mask.check(self.n, self.n_k)
        if self.tied and self.d_v > self.d:
            raise UsageError(f"tied: V is {self.d_v} columns of K, which has {self.d}; allowed: d_v <= d")

    def with_n(self, n: int) -> Problem:
        """The same with n queries, and n keys if there were as many; under a mask, with the earlier keys that there were."""
        if self.n_k == self.n:
            return replace(self, n=n, n_k=n)
        return replace(self, n=n, n_k=self.n_k if self.mask.full else self.n_k - self.n + n)

    @property
    def heads(self) -> int:
        """Query heads of a sequence."""
        return self.kv_heads * self.group

    @property
    def instances(self) -> int:
        """How often the same is computed with keys and values of their own: the key heads of all sequences."""
        return self.batch * self.kv_heads

    @property
    def sizes(self) -> dict[str, int]:
        """Values of the symbols in `letters`."""
        sizes = {"n": self.n, "d": self.d}
        sizes |= {"n_k": self.n_k} if self.n_k != self.n else {}
        sizes |= {"d_v": self.d_v} if self.d_v != self.d else {}
        return sizes | ({"g": self.group} if self.group > 1 else {}) | dict(self.settings)

    @property
    def letters(self) -> dict[str, Any]:
        """What an author's `n`, `n_k`, `d`, `d_v`, `mask`, `g` and settings stand for.

        Sizes that are the same are one symbol. Without a mask, the queries of a group of heads that share keys are rows of
        one long Q; with one, row r is the query of position r // g.
        """
        n, d, g = symbol("n"), symbol("d"), symbol("g") if self.group > 1 else 1
        return {
            "n": n * g if self.mask.full else n,
            "n_k": n if self.n_k == self.n else symbol("n_k"),
            "d": d,
            "d_v": d if self.d_v == self.d else symbol("d_v"),
            "mask": self.mask,
            "g": 1 if self.mask.full else g,
            **{name: symbol(name) for name, _ in self.settings},
        }

    @property
    def pairs(self) -> int:
        """Pairs of a query and a key that meet, over all heads."""
        return self.instances * self.group * self.mask.pairs(self.n, self.n_k)

    @property
    def features(self) -> int:
        """r, the monomials of the polynomial in the coordinates of a row."""
        return monomial_count(self.d, self.degree)

    def setting(
        self, M: int, *, properties: Iterable[Property] = (), degree: int | None = None, keys: int | None = None
    ) -> Setting:
        """What lower bounds look at, over all heads.

        Args:
            M: words of fast memory.
            properties: of the schedules that are asked about; that V is tied to K is known.
            degree: of the polynomial, for approximate attention.
            keys: how many keys of an instance are ever used; all that some query meets if not given.
        """
        tied: set[Property] = {"tied"} if self.tied else set()
        return Setting(
            N=self.pairs,
            n_q=self.instances * self.group * self.n,
            n_k=self.instances * (self.mask.keys(self.n, self.n_k) if keys is None else keys),
            d=self.d,
            d_v=self.d_v,
            M=M,
            properties=frozenset({*tied, *properties}),
            g=degree,
        )

    def length(self, letter: str) -> int:
        """The value of one of the sizes among the letters."""
        return evaluate_int(self.letters[letter], self.sizes)

    def __str__(self) -> str:
        plain = "" if self.mask.full else f", mask {self.mask}"
        group = f", {self.group} query heads a key head" if self.group > 1 else ""
        keys = f", n_k={self.n_k:,}" if self.n_k != self.n else ""
        values = f", d_v={self.d_v}" if self.d_v != self.d else ""
        return f"n={self.n:,}{keys}, d={self.d}{values}{group}{plain}"


# Of any problem without a mask.
ANY_LETTERS: Mapping[str, Any] = {**{name: symbol(name) for name in ("n", "n_k", "d", "d_v")}, "mask": FULL, "g": 1}
