"""Fixtures: the command line in this process, and configs in files."""

from pathlib import Path

import pytest
import yaml

from ..cli.conftest import get_error, vaegan

__all__ = ["get_error", "vaegan"]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a config into a file of the working folder, and returns its name."""
    monkeypatch.chdir(tmp_path)

    def write(content: object, name: str = "given.yaml") -> str:
        text = content if isinstance(content, str | bytes) else yaml.safe_dump(content)
        Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    return write
