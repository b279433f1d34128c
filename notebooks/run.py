"""The pages of this folder, executed: each percent script `NAME.py` is a notebook, `NAME.ipynb` the same with its outputs.

Run by hand after a change: python -m notebooks.run [NAME ...]   (needs: pip install -e '.[notebooks]')
"""

from __future__ import annotations

import os
import sys
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the matrices are small: threads would wait for each other

FOLDER = Path(__file__).parent
SECONDS = 300  # that a cell may take, on a busy machine
_COLOURS = 128  # of images


def scripts() -> list[Path]:
    """The scripts of all pages, in their order."""
    return sorted(FOLDER.glob("[0-9]*.py"))


def page(script: Path) -> Any:
    """A script as a notebook without outputs, whose cells are numbered, so that the same script is the same file."""
    notebook = jupytext.read(script)
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number}"
        cell.metadata = {}
    notebook.metadata = {
        "jupytext": {"formats": "ipynb,py:percent"},
        "kernelspec": notebook.metadata["kernelspec"],
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def executed(script: Path) -> Any:
    """The page with the outputs of a run in a kernel of its own, from its folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = page(script)
    NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(script.parent)}},
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # it warns of plain text on the loopback interface
    ).execute()
    notebook.metadata = page(script).metadata  # the kernel adds its version
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                output["data"]["image/png"] = _small(output["data"]["image/png"])
    return notebook


def _small(image: str) -> str:
    """The same image in few colours, with a third of the bytes."""
    few, file = few_colours(Image.open(BytesIO(b64decode(image)))), BytesIO()
    few.save(file, format="PNG", optimize=True)
    return b64encode(file.getvalue()).decode()


def few_colours(image: Image.Image) -> Image.Image:
    """The image with a palette."""
    return image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)


def main(names: list[str]) -> None:
    for script in scripts():
        if not names or script.stem in names:
            nbformat.write(executed(script), script.with_suffix(".ipynb"))  # type: ignore[no-untyped-call]
            print(script.with_suffix(".ipynb").name)


if __name__ == "__main__":
    main(sys.argv[1:])
