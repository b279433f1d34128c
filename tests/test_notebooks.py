"""The pages of `notebooks/`: what they claim is asserted in them, what they show is what they compute."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient.exceptions import CellExecutionError
from PIL import Image

from notebooks.gallery import ROOT, drawn, gallery
from notebooks.run import executed, page, scripts
from tests.rounding import without_rounding

IMAGE_BYTES = 80_000  # larger ones would make a clone slow


def cells(notebook: Any) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def shown(notebook: Any) -> Iterator[list[str]]:
    """What each cell shows: its text, and that there is an image."""
    for cell in notebook.cells:
        found = []
        for output in cell.get("outputs", ()):
            assert output.get("name") != "stderr", output
            data = {"text/plain": output["text"]} if output.output_type == "stream" else dict(output["data"])
            if "image/png" in data:
                data = {"image/png": ""}
            found += [f"{kind}: {without_rounding(text)}" for kind, text in sorted(data.items())]
        yield found


@pytest.mark.parametrize("script", scripts(), ids=lambda script: script.stem)
def test_a_page_shows_what_it_computes(script: Path) -> None:
    """A page runs, no assertion in it fails, and its notebook has the same cells and the same outputs, images small."""
    committed, fresh = nbformat.read(script.with_suffix(".ipynb"), as_version=4), executed(script)
    nbformat.validate(committed)
    assert cells(committed) == cells(fresh)
    assert list(shown(committed)) == list(shown(fresh))
    images = [
        len(b64decode(output["data"]["image/png"]))
        for cell in committed.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert images
    assert max(images) < IMAGE_BYTES


def test_the_pages_are_numbered_and_claim_something() -> None:
    """Each page begins with its number, and has assertions."""
    for script in scripts():
        first, *rest = page(script).cells
        assert first.source.startswith(f"# {script.stem[0]}. ")
        assert any(line.startswith("assert ") for cell in rest for line in cell.source.splitlines())


def test_a_page_with_a_false_claim_fails(tmp_path: Path) -> None:
    """An assertion that does not hold stops the execution of a page."""
    script = tmp_path / "false.py"
    head, _, _ = scripts()[0].read_text().partition("# %%")
    script.write_text(head + "# %%\nassert 1 + 1 == 3\n")
    with pytest.raises(CellExecutionError, match="AssertionError"):
        executed(script)


def test_the_readme_links_to_each_page_and_has_four_small_figures() -> None:
    """Every page is in the README's list; the gallery's four figures are there, and small."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"({script.with_suffix('.ipynb').relative_to(ROOT)})" in text for script in scripts())
    assert len(gallery()) == 4
    assert all(0 < path.stat().st_size < IMAGE_BYTES for path in gallery())


@pytest.mark.slow
@pytest.mark.parametrize(("path", "command"), gallery().items(), ids=lambda value: getattr(value, "stem", ""))
def test_a_figure_of_the_readme_is_what_its_command_draws(path: Path, command: str) -> None:
    """Drawn anew, at most one pixel in a hundred differs, which letters may do from one version to another."""
    committed, fresh = (np.asarray(image.convert("RGB"), dtype=int) for image in (Image.open(path), drawn(command)))
    assert committed.shape == fresh.shape
    assert (abs(committed - fresh).max(axis=2) > 64).mean() < 0.01
