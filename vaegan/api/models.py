"""The interface to trained models: load, export and publish them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from vaegan.entry import python_entry
from vaegan.networks.given import GivenNetworks
from vaegan.notebook import make_reporter
from vaegan.paths import HUB_PREFIX, expand_path, refuse_hub_name
from vaegan.storage import loading
from vaegan.storage.run_folder import Run
from vaegan.workflows.card_options import make_card_options

if TYPE_CHECKING:
    from vaegan.models import Autoencoder

RunPath: TypeAlias = str | Path | Run
"""A run, or the path of its folder."""


@python_entry
def export_run(
    run: RunPath, *, output: str | Path, format: str = "onnx", networks: GivenNetworks | None = None,
    license: str | None = None,
) -> Path:  # fmt: skip
    """Write encoder and decoder of a run for programs that do not know this package, and return the folder.

    Each part is a file that is checked against the model; `description.json` says what it takes and returns, and
    `README.md` is the model's card.

    Args:
        run: The run, its folder, the folder of an exported model, or a name on the Hub, as `load` takes it.
        output: Folder to write; an earlier export of the same format there is replaced.
        format: ``onnx``, ``torch`` (`torch.export`), or ``safetensors`` (the weights alone).
        networks: The modules of a run that was given modules, by their names; they are copied, and their weights are
            replaced by the trained ones.
        license: Licence of the weights for the card, as the Hugging Face Hub names it, such as ``apache-2.0``.

    Raises:
        UserError: There is no model or no such format, the model is no autoencoder, the folder holds other files, or
            torch cannot follow the networks.
        Failure: A written part differs from the model, so that nothing is written.
    """
    from vaegan.exports.folder import export_model  # torch's exporters take seconds

    folder = expand_path("output", output)
    card = make_card_options(license, make_reporter(False), _get_hub_name(run))
    export_model(find_model("run", run), folder, format, card, networks)
    return folder


@python_entry
def load(path: RunPath, networks: GivenNetworks | None = None) -> "Autoencoder":
    """Load the trained autoencoder of a run, on the CPU, ready to encode, decode, reconstruct and sample.

    Its weights are the moving average of the training, and take no gradient. ``model.sample(16)`` draws images,
    ``model(images).reconstruction`` and ``model.reconstruct(images)`` rebuild them, ``model.encode(images).kl()`` is
    their rate in nats. Images have the shape (N, *model.image_shape) and values in [-1, 1].

    Args:
        path: The run, its folder, the folder of an exported model, or ``hf://owner/name`` or
            ``hf://owner/name@revision``, a model that `vaegan push` has sent to the Hugging Face Hub. From the Hub only
            JSON and safetensors files are fetched, which can run no code.
        networks: The modules of a run that was given modules, by their names; they are copied, and their weights are
            replaced by the trained ones.

    Raises:
        UserError: There is no model, it is damaged, it is not an autoencoder, or the modules are not those of the run.
        Failure: The Hub cannot be reached, or has no such model.
    """
    return loading.load(find_model("path", path), networks)


@python_entry
def push_run(
    run: RunPath, repository: str, *, private: bool = False, revision: str | None = None, tag: str | None = None,
    license: str | None = None,
) -> str:  # fmt: skip
    """Send the model of a run and its card to the Hugging Face Hub, and return the name by which `load` finds it.

    Nothing else of the run is sent: no discriminator, no optimizer, no images and no names of images.

    Args:
        run: The run, its folder, or the folder of an exported model.
        repository: ``owner/name``, which is made if it does not exist.
        private: Whether nobody else may see it; an existing repository must then be private.
        revision: Branch; None: the main one.
        tag: Tag of the commit; None: no tag.
        license: Licence of the weights for the card, as the Hub names it, such as ``apache-2.0``.

    Returns:
        ``hf://owner/name@commit``, which always names this model.

    Raises:
        UserError: There is no model, a name is not valid on the Hub, or an existing repository is not private or
            has the tag.
        Failure: The Hub cannot be reached, or refuses.
    """
    from vaegan.exports.publishing import Destination, parse_repository, push_model

    folder, name = find_run(run), parse_repository(repository).repository
    card = make_card_options(license, make_reporter(False))
    _, commit = push_model(folder, loading.load(folder), Destination(name, private, revision, tag), card)
    return f"{HUB_PREFIX}{name}@{commit}"


def find_model(name: str, path: RunPath) -> Path:
    """Return the folder of a run or of an exported model, which is fetched if it is on the Hub."""
    if (hub_name := _get_hub_name(path)) is not None:
        from vaegan.storage.hub import fetch_model

        return fetch_model(hub_name)
    return expand_path(name, path)


def find_run(path: RunPath) -> Path:
    """Return the folder of a run; the name of a model on the Hub is refused."""
    refuse_hub_name("run", os.fspath(path))
    return expand_path("run", path)


def _get_hub_name(path: RunPath) -> str | None:
    """Return the path if it is the name of a model on the Hub, else None."""
    return path if isinstance(path, str) and path.startswith(HUB_PREFIX) else None
