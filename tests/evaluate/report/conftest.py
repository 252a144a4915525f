"""Fixtures: a study and its report for all tests of this folder, which no test may change."""

from pathlib import Path

import pytest

from vaegan.evaluate.comparing.comparison import Comparison

from .reports import HOSTILE, NAMES, rename, run_plain_study, write_page


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Run a study of three variants and two seeds."""
    return run_plain_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def hostile_study(study: Comparison) -> Comparison:
    """Return the study with hostile words wherever a word can stand."""
    return rename(study, NAMES, HOSTILE)


@pytest.fixture(scope="session")
def page_path(hostile_study: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the report of the hostile study, with its tables beside it."""
    folder = tmp_path_factory.mktemp("report")
    write_page(hostile_study, folder)
    return folder / "report.html"


@pytest.fixture(scope="session")
def page(page_path: Path) -> str:
    return page_path.read_text(encoding="utf-8")
