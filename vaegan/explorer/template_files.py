"""Files of HTML, CSS and JavaScript that the pages are made of."""

from importlib.resources import files


def read_template(name: str) -> str:
    """Return the text of a file of `vaegan/explorer/templates`."""
    return (files("vaegan.explorer") / "templates" / name).read_text(encoding="utf-8")
