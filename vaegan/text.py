"""Words that somebody else wrote, as part of one line of ours."""

import json

MAX_VALUE_CHARACTERS = 80
"""Characters of a value or a name."""


def make_printable(text: object) -> str:
    """Text whose control characters, which a terminal would obey, and line breaks are spelled out."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in str(text))


def to_one_line(message: object, longest: int = 200) -> str:
    """A message without line breaks, cut where it goes on for too long."""
    text = make_printable(" ".join(str(message).split()))
    return text if len(text) <= longest else text[: longest - 3] + "..."


def get_reason(error: Exception) -> str:
    """What an exception says, as part of a line that names the file already."""
    return to_one_line(getattr(error, "strerror", None) or error)


def to_short_word(text: object) -> str:
    """A name as a part of a line, whatever is in it."""
    return to_one_line(make_printable(text), MAX_VALUE_CHARACTERS)


def format_value(value: object) -> str:
    """What was given, as one short line of JSON."""
    return to_short_word(json.dumps(value, ensure_ascii=False, default=str))
