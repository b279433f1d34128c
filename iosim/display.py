"""How a result shows itself: at a prompt, printed, in a notebook, and as a data frame; and what reports are made of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING

from iosim.errors import MissingPackageError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

_HTML = '<pre style="line-height: normal; white-space: pre; overflow-x: auto">{code}</pre>'


class Result:
    """What functions of `iosim` return: its report is that of the command line, its rows are those of a table."""

    __slots__ = ()

    @abstractmethod
    def report(self) -> RenderableType:
        """What the command prints."""

    @abstractmethod
    def to_dict(self) -> dict[str, object]:
        """Plain numbers and text, with units in the key names; what `--json` prints."""

    def rows(self) -> list[dict[str, object]]:
        """The same as rows of a table, all with the same columns."""
        return [self.to_dict()]

    def to_frame(self) -> pd.DataFrame:
        """The rows as a data frame.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        return frame(self.rows())

    def __str__(self) -> str:
        from iosim.terminal import plain

        return plain(self.report())

    def __repr__(self) -> str:
        first, *_ = [*str(self).splitlines(), ""]
        return f"<{type(self).__name__} {' '.join(first.split())}>"

    def _repr_html_(self) -> str:
        from iosim.terminal import recorded

        return recorded(self.report()).export_html(inline_styles=True, code_format=_HTML)


def frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Rows as a data frame; whole numbers stay exact, however large.

    Raises:
        MissingPackageError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingPackageError("a data frame needs pandas; allowed: pip install 'iosim[notebooks]'") from error
    return pd.DataFrame(rows)


def pairs(facts: Iterable[tuple[str, str]], *, indent: int = 2, min_width: int | None = None) -> RenderableType:
    """Names in bold, in a column of at least `min_width`, and what they name beside them, wrapped there."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True, min_width=min_width)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(" " * indent + name, Text(value, overflow="fold"))
    return grid
