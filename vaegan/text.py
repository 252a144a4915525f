"""Text from outside (file names, error messages, values), made safe and short for one line of output."""

import json
import re
from collections.abc import Mapping
from typing import Any

MAX_VALUE_CHARACTERS = 80
"""Most characters of a value or a name in a message."""


def make_printable(text: object) -> str:
    """Return the text with control characters and line breaks written as escapes, so that no terminal obeys them."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in str(text))


def has_undecodable_bytes(text: str) -> bool:
    """Return whether a text holds bytes of a file name that are not UTF-8, as `os.fsdecode` keeps them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return not re.search("[\ud800-\udc7f\udd00-\udfff]", text)  # other halves of surrogates come from no name
    return False


def make_encodable(value: Any) -> Any:
    """Return text, or nested data, with those bytes of file names that are not UTF-8 written as escapes."""
    if isinstance(value, str):
        if not has_undecodable_bytes(value):
            return value
        return value.encode(errors="surrogateescape").decode(errors="backslashreplace")
    if isinstance(value, Mapping):
        return {make_encodable(key): make_encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [make_encodable(item) for item in value]
    return value


def encode_text(text: str) -> bytes:
    """Return text as UTF-8, with what is no UTF-8 written as escapes."""
    return str(make_encodable(text)).encode(errors="backslashreplace")


def to_one_line(message: object, max_characters: int = 200) -> str:
    """Return a message without line breaks, printable, and cut to ``max_characters``."""
    text = make_printable(" ".join(str(message).split()))
    return text if len(text) <= max_characters else text[: max_characters - 3] + "..."


def get_reason(error: Exception) -> str:
    """Return what an exception says, without the file name, for a message that names the file already."""
    return to_one_line(getattr(error, "strerror", None) or error)


def shorten(text: object) -> str:
    """Return a name of any content as one printable line of at most `MAX_VALUE_CHARACTERS`."""
    return to_one_line(make_printable(text), MAX_VALUE_CHARACTERS)


def format_value(value: object) -> str:
    """Return a value as one line of JSON of at most `MAX_VALUE_CHARACTERS`."""
    return shorten(json.dumps(value, ensure_ascii=False, default=str))
