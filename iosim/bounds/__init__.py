"""What no schedule can beat: lower bounds as values, with their constants, regimes and sources.

`iosim.bounds(...)` is a function, and `iosim.bounds` the package that it is about: this module can be called.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A module that passes a call on to `iosim.api.bounds`."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return _function()(*args, **options)

    @property
    def __signature__(self) -> Any:
        import inspect

        return inspect.signature(_function())


def _function() -> Any:
    """By name: no bound knows the functions for users."""
    return import_module("iosim.api").bounds


sys.modules[__name__].__class__ = _Callable
