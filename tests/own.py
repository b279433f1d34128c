"""A user's own algorithm file, README's under another name, and the same with mistakes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.numbers import own_algorithm

_FRONT = '"""With a docstring, and annotations that nobody reads."""\n\nfrom __future__ import annotations\n\n'
MINE = _FRONT + (
    own_algorithm()
    .replace('name="mine"', 'name="block-rows"')
    .replace('summary="row blocks of K and V"', 'summary="row tiles of Q and O stay, blocks of K and V pass by"')
    .replace('source="this file"', 'source="a test"')
    .replace("\n\n\ndef ", '\n\nprint("this goes to stderr")\n\n\ndef ', 1)
)


def write(folder: Path, *changes: tuple[str, str], name: str = "mine.py") -> str:
    """The file, with pieces of its text replaced; its path."""
    text = MINE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    return str(path)
