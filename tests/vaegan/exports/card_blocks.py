"""The Python that a card prints."""

import os
import re
from pathlib import Path
from typing import Any

from vaegan.exports.card import CARD_FILE


def run_card(folder: Path) -> dict[str, Any]:
    """Run the Python of a folder's card in that folder, and return its names."""
    names: dict[str, Any] = {}
    (block,) = re.findall(r"```python\n(.*?)```", (folder / CARD_FILE).read_text(), re.DOTALL)
    before = Path.cwd()
    os.chdir(folder)
    try:
        exec(block, names)
    finally:
        os.chdir(before)
    return names
