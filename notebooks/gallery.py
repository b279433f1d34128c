"""The figures of the README's gallery: what the commands below them draw, in few colours, so that they are small.

Run by hand after a change: python -m notebooks.gallery
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from iosim.cli import main as iosim
from notebooks.run import few_colours

ROOT = Path(__file__).parent.parent


def gallery() -> dict[Path, str]:
    """Each figure and the command that draws it, but for its `-o`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    figures = re.findall(r"!\[[^\]]+\]\((notebooks/figures/[^)]+)\)", text)
    commands = re.findall(r"`(iosim plot [^`]+)` \|", text)
    drawing = (command.partition(" -o ")[0] for command in commands)
    return dict(zip((ROOT / figure for figure in figures), drawing, strict=True))


def drawn(command: str) -> Image.Image:
    """What a command draws."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "figure.png"
        iosim([*shlex.split(command)[1:], "-o", str(path)], standalone_mode=False)
        return few_colours(Image.open(path))


def main() -> None:
    for path, command in gallery().items():
        drawn(command).save(path, optimize=True)
        print(path.name)


if __name__ == "__main__":
    main()
