"""Modules that can be called: `iosim.bounds(...)` is a function, and `iosim.bounds` the package that it is about."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A module that passes a call on to the function of `iosim.api` that has its name."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return _function(self)(*args, **options)

    @property
    def __signature__(self) -> Any:
        import inspect

        return inspect.signature(_function(self))


def _function(module: ModuleType) -> Any:
    return getattr(import_module("iosim.api"), module.__name__.rpartition(".")[2])


def make_callable(name: str) -> None:
    """Makes a module callable; for those that share their name with a verb of the command line."""
    sys.modules[name].__class__ = _Callable
