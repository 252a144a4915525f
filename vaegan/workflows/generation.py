"""The work of the command `generate`, and of `vaegan.api`; all processes of a launch do it together."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.progress import Reporter
from vaegan.text import shorten

from .runs import is_model_alone
from .shared_settings import MAX_SEED
from .trained_model import check_output_of_run, choose_density, fit_density, load_model_and_class

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.data import Data
    from vaegan.data.given import GivenImages
    from vaegan.generation.description import Generation
    from vaegan.generation.rejection import Score
    from vaegan.models import Autoencoder

FORMATS = ("folder", "npz", "tar")
"""Names of the forms that generated images are kept in."""
SCORES = ("realness", "distance")
"""Names of the scores by which draws are rejected."""
MAX_IMAGES, MAX_SHARD_ROWS = 10**9, 10**7
"""Most images of a data set, and of a shard."""


@dataclass(frozen=True)
class Request:
    """The settings of a data set of generated images: its run, its number of images, their choice and form."""

    run: Path
    """The run whose model generates."""
    output: Path
    """Folder of the images."""
    number: int
    """Number of images."""
    format: str = FORMATS[0]
    """Form that they are kept in."""
    seed: int = 0
    """Root of their codes."""
    density: str | None = None
    """Density that the codes are drawn from; None: the prior."""
    label: str | None = None
    """Class of all images; None: the classes of a conditional model in turn."""
    reject: str | None = None
    """Score and share of the draws that are rejected by it, `realness=0.5`; None: every draw is kept."""
    features: Path | None = None
    """Run of a classifier in whose features the distance is measured; None: as in the run's config."""
    shard_rows: int = 1000
    """Images of a shard, which one process generates."""
    data_root: Path | None = None
    """Folder that the run's images have moved to; None: they are where the config says."""
    allow_other_data: bool = False
    """True if images are used even if they are not those of the run."""
    given: "GivenImages | None" = None
    """The images of a run that was given its images; None: the run's config names them."""

    def check(self) -> "Config | None":
        """Check the settings against each other and the run, and return the run's config with the density.

        Returns:
            The config; None: there is a model without its run.

        Raises:
            UserError: One is wrong, or does not go with another.
        """
        from vaegan.config.models import GANConfig
        from vaegan.storage.run_folder import Run

        for option, value in (("--density", self.density), ("--reject", self.reject)):
            if value is not None and is_model_alone(self.run):
                problem = "needs the training images or the discriminator, and here is the model alone"
                raise UserError(f"{option} {shorten(value)}: {problem}; leave it out, or name the folder of its run")
        config = None
        if not is_model_alone(self.run):
            config = Run(self.run).config if self.density is None else choose_density(self.run, self.density)
        if self.format not in FORMATS:
            raise UserError(f"--format {shorten(self.format)}: allowed: {', '.join(FORMATS)}")
        for option, number, least, most in (
            ("--number", self.number, 1, MAX_IMAGES), ("--seed", self.seed, 0, MAX_SEED),
            ("--shard-rows", self.shard_rows, 1, MAX_SHARD_ROWS),
        ):  # fmt: skip
            if type(number) is not int or not least <= number <= most:
                raise UserError(f"{option} {shorten(number)}: give a whole number from {least} to {most:,}")
        score, _ = self.parse_rejection()
        if self.features is not None and score != "distance":
            raise UserError("--features: the distance is measured in them; give --reject distance=SHARE as well")
        if score is None and self.density is None and (self.data_root is not None or self.allow_other_data):
            problem = "samples of the prior need no images"
            raise UserError(f"--data-root, --allow-other-data: {problem}; give --density or --reject distance=SHARE")
        if score != "distance" and self.density is None and self.given is not None:
            raise UserError("data: only a density and the distance need images; leave it out")
        if score == "realness":
            assert config is not None
            if not isinstance(config.model, GANConfig):
                raise UserError(f"--reject realness: {self.run} has no discriminator; use a VAE-GAN, or distance")
            if getattr(config.model.discriminator, "classes", None) == "reconstructed":
                problem = f"the discriminator of {self.run} has never seen a sample"
                raise UserError(f"--reject realness: {problem}; use a VAE-GAN that has, or distance")
            if config.model.discriminator.packing > 1:
                problem = f"the discriminator of {self.run} scores pairs of images"
                raise UserError(f"--reject realness: {problem} (model.discriminator.packing); use distance")
        check_output_of_run(self.run, self.output, data_root=self.data_root)
        return config

    def parse_rejection(self) -> tuple[str | None, float]:
        """Return the score and the share of `reject`; (None, 0) if it is not given.

        Raises:
            UserError: It names no score, or no share between 0 and 1.
        """
        if self.reject is None:
            return None, 0.0
        score, _, text = str(self.reject).partition("=")
        try:
            share = float(text)
        except ValueError:
            share = 0.0
        if score not in SCORES or not 0 < share < 1:
            allowed = " or ".join(f"{name}=SHARE" for name in SCORES)
            raise UserError(f"--reject {shorten(self.reject)}: allowed: {allowed}, with a SHARE between 0 and 1")
        return score, share


def generate_dataset(request: Request, config: "Config | None", reporter: Reporter) -> "Generation":
    """Generate images into a folder, except those that are there already.

    Args:
        request: The settings, checked.
        config: The run's config with the density; None: there is a model without its run.
        reporter: Shows progress and notes.

    Returns:
        The description of the folder.

    Raises:
        UserError: The run has no model, no prior or no discriminator, the images are missing or not the run's, or the
            folder holds something else.
        Failure: A file cannot be read or written.
    """
    from vaegan.config.schema import EvaluateConfig
    from vaegan.evaluate.one_pass import get_device
    from vaegan.generation.description import Generation, RejectionConfig
    from vaegan.generation.generating import generate_to_folder
    from vaegan.models.autoencoder import Sampler
    from vaegan.storage.loading import load_class_names, load_weights_hash
    from vaegan.storage.run_data import open_run_data
    from vaegan.storage.run_folder import Run
    from vaegan.text import make_encodable

    model, label = run_on_all_ranks(lambda: load_model_and_class(request.run, request.label, reporter))
    model = model.to(get_device())
    (name, share), data = request.parse_rejection(), None
    if request.density is not None or name == "distance":
        assert config is not None
        data, config = open_run_data(
            Run(request.run), config, reporter, request.given, data_root=request.data_root,
            allow_other_data=request.allow_other_data,
        )  # fmt: skip
    density, size = None, (EvaluateConfig() if config is None else config.evaluate).batch_size
    if request.density is not None:
        assert config is not None and data is not None
        density = fit_density(config, model, data.train, reporter)
    sampler = Sampler(model, request.seed, density)
    if sampler.source is None:
        raise UserError(model.no_prior_message, on_all_ranks=True)
    if density is None and (problem := model.describe_weak_prior()):
        reporter.note(problem)
    score, rejection = None, None
    if name is not None:
        assert config is not None
        score, judge = _make_score(name, request, config, model, data, reporter)
        rejection = RejectionConfig.model_validate({"score": name, "share": share, "judge": judge})
    classes: tuple[str, ...] = ()
    if model.classes is not None:
        names = run_on_all_ranks(lambda: load_class_names(request.run))
        classes = names or tuple(map(str, range(model.classes)))
    settings = {
        "rows": request.number, "shard_rows": request.shard_rows, "batch_size": size,
        "run": make_encodable(str(request.run.absolute())),
        "weights": run_on_all_ranks(partial(load_weights_hash, request.run)), "image_shape": model.image_shape,
        "format": request.format, "seed": request.seed, "density": None if density is None else str(density),
        "fitted_to": None if density is None or data is None else data.fingerprint,
        "label": label, "classes": classes, "rejection": rejection,
    }  # fmt: skip
    generation = Generation.model_validate(settings)
    with reporter.progress("Generating", "images") as progress:
        return generate_to_folder(sampler, score, request.output, generation, progress)


def _make_score(
    name: str, request: Request, config: "Config", model: "Autoencoder", data: "Data | None", reporter: Reporter
) -> "tuple[Score, str]":
    """Return the score that an option names, and the digest of the weights and images that it is computed with.

    Raises:
        UserError: The discriminator or the network of features is missing, or is for other images.
    """
    from vaegan.evaluate.metrics.feature_extractors import build_extractor
    from vaegan.generation.rejection import make_distance_score, make_realness_score
    from vaegan.nearest_images import MAX_COMPARED_IMAGES, compute_features_of_images
    from vaegan.pretrained import hash_weights
    from vaegan.storage.loading import load_discriminator
    from vaegan.storage.run_folder import Run

    device = next(model.parameters()).device
    if name == "realness":
        discriminator = run_on_all_ranks(lambda: load_discriminator(Run(request.run), reporter.note))
        if discriminator is None:
            problem = f"{request.run} has no checkpoint with its discriminator"
            raise UserError(f"--reject realness: {problem}; use distance", on_all_ranks=True)
        return make_realness_score(discriminator.to(device)), hash_weights(discriminator)
    assert data is not None
    features = str(request.features) if request.features is not None else config.evaluate.features
    try:
        extractor = run_on_all_ranks(lambda: build_extractor(features, model.image_shape))
    except UserError as error:
        raise UserError(f"--features: {str(error).removeprefix('evaluate.features: ')}", error.on_all_ranks) from None
    positions = data.train.select_evenly(MAX_COMPARED_IMAGES)
    with reporter.progress("Computing features", "images") as progress:
        training = compute_features_of_images(
            extractor, data.train, positions, device, config.evaluate.batch_size, progress
        )
    return make_distance_score(extractor, training), f"{extractor.protocol['weights']}-{data.fingerprint}"
