"""Hooks of the site: notebooks become pages; links to files outside docs/, which only a checkout has, plain text."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

OUTSIDE_LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]*)(?:#[^)]*)?\)")
TERMINAL_CODE = re.compile(r"\x1b\[[0-9;]*m")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook, which itself stays a file to be fetched."""
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            notebook = json.loads(Path(str(file.abs_src_path)).read_text(encoding="utf-8"))
            page = "\n\n".join(part for cell in notebook["cells"] for part in convert_cell(cell))
            files.append(File.generated(config, file.src_uri.replace(".ipynb", ".md"), content=page))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Let links to notebooks lead to their pages, and replace each link to a file outside docs/ by its text.

    Raises:
        PluginError: There is no such file.
    """

    def replace(link: re.Match[str]) -> str:
        if not (Path(config.docs_dir, page.file.src_uri).parent / link[2]).exists():
            raise PluginError(f"{page.file.src_uri}: {link[2]}: no such file")
        return link[1]

    return OUTSIDE_LINK.sub(replace, markdown).replace(".ipynb)", ".md)")


def convert_cell(cell: dict[str, Any]) -> Iterator[str]:
    """Yield the source of a notebook's cell, and its outputs, as Markdown."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
    elif source:
        yield f"```python\n{source}\n```"
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                yield f'<p><img alt="output" src="data:image/png;base64,{"".join(data["image/png"]).strip()}"></p>'
            elif "text/html" in data:
                yield "".join(data["text/html"]).replace(' border="1" class="dataframe"', "")  # as other tables look
            else:
                lines = output.get("text") or data.get("text/plain") or output.get("traceback", "")
                yield f'<pre class="output">{html.escape(TERMINAL_CODE.sub("", "".join(lines)).rstrip())}</pre>'
