"""Hook of the site: links to files outside docs/, which only a checkout has, become plain text."""

import re
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

OUTSIDE_LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]*)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Replace each link to a file outside docs/ by its text.

    Raises:
        PluginError: There is no such file.
    """

    def replace(link: re.Match[str]) -> str:
        if not (Path(str(page.file.abs_src_path)).parent / link[2]).exists():
            raise PluginError(f"{page.file.src_path}: {link[2]}: no such file")
        return link[1]

    return OUTSIDE_LINK.sub(replace, markdown)
