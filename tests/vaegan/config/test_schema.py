"""Settings that do not go together."""

import pytest

from vaegan.config import Config, find_config
from vaegan.config.load import merge, read_yaml, validate_config
from vaegan.errors import UserError

from .configs import RUN, get_refusal


def test_two_settings_that_cannot_go_together(write):
    message = get_refusal(write(RUN), "data.validation=0", "train.evaluate_every=2")
    assert "data.validation" in message and "train.evaluate_every" in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "digits", "root": "x"}, "data.root: digits is embedded"),
        ({"source": "photos", "root": "x"}, "data.root: photos is embedded"),
        ({"source": "shapes", "root": "x"}, "data.root: shapes is embedded"),
        ({"source": "shapes", "strict": True}, "data.strict: only folder"),
        ({"source": "cifar10", "strict": True}, "data.strict: only folder"),
        ({"source": "digits", "download": True}, "data.download: only mnist"),
        ({"source": "folder", "root": "x", "download": True}, "data.download: only mnist"),
    ],
)
def test_settings_that_a_source_has_no_use_for_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        validate_config(Config, merge(read_yaml(find_config("digits/ae")), {"data": settings}), "here")
    assert "\n" not in str(caught.value)
