"""The templates of the pages, filled in."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import vaegan


def render_page(template: str, **values: object) -> str:
    """Return a page made of a template of this folder; values are escaped, and a missing one is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(version=vaegan.__version__, **values)
