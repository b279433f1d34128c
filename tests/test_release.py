"""What is published: one version, metadata that agree, and distributions with all that they need."""

from __future__ import annotations

import os
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from iosim import __version__
from iosim.cli import main

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_the_version_is_the_same_everywhere() -> None:
    """`iosim.__version__` is what the distribution takes, the command prints, the citation and the newest change have."""
    changes = (ROOT / "README.md").read_text().partition("\n## Changes\n")[2]
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "iosim/__init__.py"
    assert CliRunner().invoke(main, ["--version"]).stdout == f"iosim, version {__version__}\n"
    assert CITATION["version"] == __version__
    assert changes.lstrip().startswith(f"**{__version__}**")


def test_the_citation_agrees_with_the_metadata() -> None:
    """Authors, licence and keywords are written in two formats, and are the same."""
    project = PROJECT["project"]
    assert CITATION["authors"] == project["authors"] == project["maintainers"]
    assert CITATION["license"] == project["license"]
    assert CITATION["keywords"] == project["keywords"]
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """The files of the wheel and those of the sdist, by their paths in the repository."""
    from hatchling.build import build_sdist, build_wheel

    folder, here = tmp_path_factory.mktemp("dist"), Path.cwd()
    os.chdir(ROOT)  # hatchling builds what it stands in
    try:
        wheel, sdist = folder / build_wheel(str(folder)), folder / build_sdist(str(folder))
    finally:
        os.chdir(here)
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    return in_wheel, in_sdist


def files(*folders: str) -> set[str]:
    """The files below these folders of the repository, without caches."""
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return {
        str(path.relative_to(ROOT))
        for path in paths
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
    }


def test_the_wheel_has_the_packages_and_nothing_else(distributions: tuple[set[str], set[str]]) -> None:
    """All files of the three packages, `py.typed`, the page of reports and the licence; no test, no benchmark."""
    wheel, _ = distributions
    packages = {name for name in wheel if ".dist-info/" not in name}
    assert packages == files("iosim", "algorithms", "proofs")
    assert {"iosim/py.typed", "iosim/web/page.html"} <= packages
    about = f"iosim-{__version__}.dist-info"
    assert {f"{about}/licenses/LICENSE", f"{about}/entry_points.txt", f"{about}/METADATA"} <= wheel


def test_the_tests_can_be_run_from_the_sdist(distributions: tuple[set[str], set[str]]) -> None:
    """It has every file of the repository but what only this repository's CI needs."""
    _, sdist = distributions
    wanted = files("iosim", "algorithms", "proofs", "tests", "benchmarks", "notebooks")
    assert wanted | {"README.md", "LICENSE", "CITATION.cff", "pyproject.toml", "PKG-INFO"} <= sdist
    assert {name for name in sdist if name.startswith(".ci")} == set()
