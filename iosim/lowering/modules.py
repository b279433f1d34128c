"""Generated kernels as a module: Triton reads the text of functions from a file."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


@contextmanager
def imported(source: str, name: str = "iosim_kernels") -> Iterator[ModuleType]:
    """The module with that source and name; its file is there while the context lasts."""
    with tempfile.TemporaryDirectory(prefix="iosim-") as folder:
        path = Path(folder) / f"{name}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
