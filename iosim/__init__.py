"""iosim: count the data movement of attention algorithms exactly, and check the count from both sides."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from iosim import gpu as gpu
    from iosim.algorithm import Algorithm as Algorithm
    from iosim.algorithm import Best as Best
    from iosim.api import advise as advise
    from iosim.api import bounds as bounds
    from iosim.api import cache as cache
    from iosim.api import gpu_tiles as gpu_tiles
    from iosim.api import kernel as kernel
    from iosim.api import list_algorithms as list_algorithms
    from iosim.api import pebble as pebble
    from iosim.api import plot as plot
    from iosim.api import prove as prove
    from iosim.api import report as report
    from iosim.api import run as run
    from iosim.api import show as show
    from iosim.api import sweep as sweep
    from iosim.api import tightness as tightness
    from iosim.api import trace as trace
    from iosim.api import tradeoff as tradeoff
    from iosim.api import tune as tune
    from iosim.builder import Builder as Builder
    from iosim.builder import build as build
    from iosim.expr import Size as Size
    from iosim.expr import binomial as binomial
    from iosim.expr import ceil_div as ceil_div
    from iosim.expr import floor_div as floor_div
    from iosim.expr import maximum as maximum
    from iosim.expr import minimum as minimum
    from iosim.expr import monomial_count as monomial_count
    from iosim.expr import symbols as symbols
    from iosim.instances import for_each as for_each
    from iosim.interpret.count import count as count
    from iosim.interpret.count import peak_words as peak_words
    from iosim.interpret.execute import execute as execute
    from iosim.interpret.legality import violations as violations
    from iosim.interpret.render import render as render
    from iosim.masks import CAUSAL as CAUSAL
    from iosim.masks import FULL as FULL
    from iosim.masks import Mask as Mask
    from iosim.method import SEED as SEED
    from iosim.method import AttentionMethod as AttentionMethod
    from iosim.method import Head as Head
    from iosim.method import Option as Option
    from iosim.ops import Op as Op
    from iosim.plan import Form as Form
    from iosim.plan import Plan as Plan
    from iosim.problem import Problem as Problem
    from iosim.program import Span as Span
    from iosim.program import Table as Table
    from iosim.task import ATTENTION as ATTENTION
    from iosim.task import DECODING as DECODING
    from iosim.task import GRADIENT as GRADIENT
    from iosim.tiled import Schedule as Schedule
    from iosim.tiled import Tiled as Tiled

# Where each public name lives; modules are imported when a name is first asked for, so that `iosim --help` is quick.
_HOMES = {
    "iosim.algorithm": ("Algorithm", "Best"),
    "iosim.api": (
        "advise",
        "cache",
        "gpu_tiles",
        "kernel",
        "list_algorithms",
        "pebble",
        "plot",
        "prove",
        "report",
        "run",
        "show",
        "sweep",
        "tightness",
        "trace",
        "tradeoff",
        "tune",
    ),
    "iosim.builder": ("Builder", "build"),
    "iosim.expr": ("Size", "binomial", "ceil_div", "floor_div", "maximum", "minimum", "monomial_count", "symbols"),
    "iosim.instances": ("for_each",),
    "iosim.interpret.count": ("count", "peak_words"),
    "iosim.interpret.execute": ("execute",),
    "iosim.interpret.legality": ("violations",),
    "iosim.interpret.render": ("render",),
    "iosim.masks": ("CAUSAL", "FULL", "Mask"),
    "iosim.method": ("SEED", "AttentionMethod", "Head", "Option"),
    "iosim.ops": ("Op",),
    "iosim.plan": ("Form", "Plan"),
    "iosim.problem": ("Problem",),
    "iosim.program": ("Span", "Table"),
    "iosim.task": ("ATTENTION", "DECODING", "GRADIENT"),
    "iosim.tiled": ("Schedule", "Tiled"),
}
_PACKAGES = ("bounds", "gpu")
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: PLE0604  as in the table above
    *_HOME_OF,
    *_PACKAGES,
]


def __getattr__(name: str) -> object:
    if name in _PACKAGES:
        return import_module(f"iosim.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'iosim' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
