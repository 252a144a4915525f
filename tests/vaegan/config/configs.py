"""Short configs, and the message with which a config is refused."""

import pytest

from vaegan.config import load_config
from vaegan.errors import UserError

FAMILIES = "ae | vae | vaegan | larsen | ganvae | vqvae | pixelcnn | flow | classifier"
RUN = {
    "model": {"family": "vae", "network": "mlp", "width": 8, "latent_size": 2},
    "data": {"source": "digits", "image_size": 8, "channels": 1},
    "train": {"steps": 3, "batch_size": 8},
}
VAEGAN = {**RUN, "model": {**RUN["model"], "family": "vaegan"}}
CLASSIFIER = {**RUN, "model": {"family": "classifier", "width": 8, "classes": 10}}


def get_refusal(name: str, *overrides: str) -> str:
    """Return the one line with which a config is refused."""
    with pytest.raises(UserError) as caught:
        load_config(name, overrides)
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and len(message) < 700
    return message
