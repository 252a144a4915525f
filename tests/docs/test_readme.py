"""The README is short, and what it says of the package and its files is true."""

import re
from pathlib import Path

import pytest

from .pages import ROOT

LINK = re.compile(r"\]\(([^)\s]+)\)")
LINKED = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "tests/README.md"]
"""Pages outside the site, whose build checks its own links."""


def get_anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short_and_says_what_setup_py_says() -> None:
    readme, setup = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "setup.py"))
    assert len(readme.splitlines()) <= 150
    (python,) = set(re.findall(r'python_requires=">=([\d.]+)"', setup))
    assert f"[![Python: {python} or newer]" in readme and f"Python ≥ {python}" in readme
    assert 'license_expression="Apache-2.0"' in setup and "[![Licence: Apache 2.0]" in readme


@pytest.mark.parametrize("name", LINKED)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in get_anchors(target), link
