"""Text from outside, as a part of one line of output."""

import os

import pytest

from vaegan.text import (
    MAX_VALUE_CHARACTERS,
    encode_text,
    format_value,
    get_reason,
    has_undecodable_bytes,
    make_encodable,
    make_printable,
    shorten,
    to_one_line,
)


def test_control_characters_and_line_breaks_become_escapes() -> None:
    assert make_printable("a\x1b[2J\nb\u202ec\udcff") == "a\\x1b[2J\\nb\\u202ec\\udcff"
    assert make_printable("größer 1") == "größer 1"


def test_a_message_is_one_line_and_cut_where_it_is_too_long() -> None:
    assert to_one_line("a\n  b\tc") == "a b c"
    assert to_one_line("x" * 200) == "x" * 200
    assert to_one_line("x" * 201) == "x" * 197 + "..."
    assert to_one_line("abcdef", 5) == "ab..."


def test_a_name_keeps_its_line_breaks_as_escapes() -> None:
    assert shorten("a\nb") == "a\\nb"
    assert len(shorten("x" * 1000)) == MAX_VALUE_CHARACTERS


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileNotFoundError(2, "No such file", "/x"), "No such file"),
        (ValueError("a\nb"), "a b"),
        (OSError("odd"), "odd"),
    ],
)
def test_the_reason_of_an_error_names_no_file(error: Exception, expected: str) -> None:
    assert get_reason(error) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("a\n", '"a\\n"'), ({"ä": [1, None]}, '{"ä": [1, null]}'), (1.5, "1.5")]
)
def test_a_value_is_shown_as_json(value: object, expected: str) -> None:
    assert format_value(value) == expected


def test_bytes_that_are_not_utf_8_become_escapes_at_any_depth() -> None:
    name = os.fsdecode(b"caf\xe9")
    assert has_undecodable_bytes(name) and not has_undecodable_bytes("café")
    assert make_encodable({name: [name, ("ü", 1)]}) == {"caf\\xe9": ["caf\\xe9", ["ü", 1]]}
    assert encode_text(name) == b"caf\\xe9" and encode_text("\ud800é") == b"\\ud800\xc3\xa9"
