"""Every table and figure of README and RESULTS, made again: what its commands print and draw is put in their place.

Run by hand after a change: python -m benchmarks.numbers [WORD ...]   only commands with one of these words
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from notebooks import gallery

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
MEASURED = "benchmarks.peers"  # what takes times, and so never prints the same twice


@dataclass(frozen=True)
class Block:
    """A command of a page and what is shown below it."""

    command: str
    shown: str

    @property
    def measured(self) -> bool:
        return MEASURED in self.command

    def text(self, output: str) -> str:
        """The block as the page has it."""
        return f"```console\n$ {self.command}\n{output}```"


def blocks(page: Path | None = None) -> list[Block]:
    """All of a page, in its order; of README if none is given."""
    found = re.findall(r"```console\n\$ ([^\n]*)\n(.*?)```", (page or README).read_text(encoding="utf-8"), re.DOTALL)
    return [Block(command, shown) for command, shown in found]


def own_algorithm() -> str:
    """The file `my_attention.py` that README shows."""
    text: str
    (text,) = re.findall(r"```python\n(from math import inf.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return text


def printed(command: str) -> str:
    """What a command prints, from a folder with the files that README names.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    program, *words = shlex.split(command)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "my_attention.py").write_text(own_algorithm(), encoding="utf-8")
        for part in ("tests", "benchmarks", "notebooks"):
            (folder / part).symlink_to(ROOT / part)
        start = [sys.executable] if program == "python" else [sys.executable, "-m", program]
        done = subprocess.run([*start, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def renewed(words: list[str]) -> Iterator[str]:
    """Writes both pages and the figures anew, and says what is done."""
    for page in (README, RESULTS):
        for block in blocks(page):
            if not words or any(word in block.command for word in words):
                text = page.read_text(encoding="utf-8")
                new = text.replace(block.text(block.shown), block.text(printed(block.command)))
                page.write_text(new, encoding="utf-8")
                yield block.command
    for path, command in gallery.gallery().items():
        if not words or any(word in command for word in words):
            gallery.drawn(command).save(path, optimize=True)
            yield f"{command} -o {path.relative_to(ROOT)}"


def main(words: list[str]) -> None:
    for done in renewed(words):
        print(done, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
