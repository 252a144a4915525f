"""YAML text as plain data: what is read is the reader's own, and what is written is read as equal data."""

import pytest

from vaegan.config.yaml_text import dump_yaml, parse_yaml
from vaegan.errors import UserError

TREE = {"train": {"steps": 10, "learning_rate": 1e-4}, "tags": ["no", "1e-4", "a\u2028b"], "prior": None, "on": True}


def test_written_data_is_read_as_equal_data() -> None:
    assert parse_yaml(dump_yaml(TREE)) == TREE


@pytest.mark.parametrize("text", [dump_yaml(TREE), dump_yaml(TREE).encode()], ids=["text", "bytes"])
def test_data_of_equal_texts_are_independent(text: str | bytes) -> None:
    first = parse_yaml(text)
    first["train"]["steps"] = 20
    first["tags"].append("mine")
    assert parse_yaml(text) == TREE


def test_an_error_is_raised_at_each_reading() -> None:
    for _ in range(2):
        with pytest.raises(UserError, match=r"^steps: given twice \(the second time on line 2\)"):
            parse_yaml("steps: 1\nsteps: 2\n")


def test_deep_nesting_is_read_or_refused() -> None:
    refused = []
    for depth in range(50, 1001, 50):
        try:
            parse_yaml("[" * depth + "]" * depth)
        except UserError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 20 and all(message.startswith("not YAML: ") for message in refused)
