"""Networks and densities that anomaly scores need beside the model of a run, and the scores that a run can have."""

from collections.abc import Sequence
from pathlib import Path

from vaegan.applications.anomaly_scores import SCORES, Judges, check_score
from vaegan.config.adversarial import get_packing
from vaegan.config.models import GANConfig
from vaegan.data import Images
from vaegan.errors import UserError
from vaegan.extras import check_packages
from vaegan.losses.perceptual import load_evaluation_lpips
from vaegan.models import Autoencoder, Classifier, PixelCNN
from vaegan.storage.checkpoints import read_newest_fingerprint
from vaegan.storage.loading import load_classifier, load_discriminator
from vaegan.storage.run_folder import Run
from vaegan.text import shorten
from vaegan.workflows.trained_model import choose_density, fit_density

from .console import Console
from .options import ALL


def choose_scores(names: str, run: Path, model: Autoencoder, features: Path | None, density: str | None) -> list[str]:
    """Return the names of the scores of an option, in its order, each of which the run can have.

    Args:
        names: Names, separated by commas; `ALL`: every score that it can have.
        run: Run folder.
        model: Its model.
        features: Run of a classifier; None: there is none.
        density: Value of --density; None: it is not given.

    Raises:
        UserError: There is no such score or density, the run cannot have it, or an option is for no score that is
            named.
    """
    chosen = list(SCORES) if names == ALL else list(dict.fromkeys(names.replace(" ", "").split(",")))
    for wrong, problem in ((ALL, f"{ALL} means every score, and stands alone"), ("", "a name is empty")):
        if wrong in chosen:
            raise UserError(f"--score {shorten(names)}: {problem}; allowed: {ALL}, or some of {', '.join(SCORES)}")
    possible = list[str]()
    for name in chosen:
        try:
            _check(name, run, model, features)
        except UserError as error:
            if names != ALL:
                problem = str(error).removeprefix(f"score {name}: ")
                raise UserError(f"--score {name}: {problem}") from None
        else:
            possible.append(name)
    if features is not None and "features" not in possible:
        raise UserError("--features: needed by the score features alone; add it to --score, or leave the option out")
    needs_density = "code" in possible and not isinstance(model, PixelCNN)
    if density is not None and not needs_density:
        problem = "its codes have a density of their own" if "code" in possible else "needed by the score code alone"
        raise UserError(f"--density: {problem}; leave it out")
    if density is not None:
        choose_density(run, density)
    return possible


def load_judges(
    names: Sequence[str], run: Path, model: Autoencoder, features: Path | None, density: str, training: Images,
    console: Console,
) -> tuple[Judges, dict[str, str]]:  # fmt: skip
    """Load what scores need beside the model of a run, and return it and the names of the scores in tables.

    They are those of the options, but for LPIPS, which is called after its network.

    Args:
        names: Names of the scores, of `choose_scores`.
        run: Run folder.
        model: Its model.
        features: Run of a classifier, which `features` needs.
        density: Density that `code` needs, as in --density.
        training: Images that it is fitted to.
        console: Shows progress and notes.

    Raises:
        UserError: A file is missing, damaged or for other images.
    """
    lpips = classifier = fitted = discriminator = None
    shown = {name: name for name in names}
    if "lpips" in names:
        lpips, network = load_evaluation_lpips("alex", console.note)
        shown["lpips"] = f"lpips_{network}"
    if "features" in names and features is not None:
        classifier = _load_classifier(features, model)
    if "code" in names and not isinstance(model, PixelCNN):
        fitted = fit_density(choose_density(run, density), model, training, console)
    if "realness" in names:
        discriminator = load_discriminator(Run(run), console.note)
        if discriminator is None:
            raise UserError(f"--score realness: no checkpoint of {run} can be read; name another score")
        discriminator.to(next(model.parameters()))
    return Judges(lpips, classifier, fitted, discriminator), shown


def _check(name: str, run: Path, model: Autoencoder, features: Path | None) -> None:
    """Check that a run can have a score.

    Raises:
        UserError: It cannot.
    """
    check_score(name, model)
    if name == "lpips":
        check_packages(["lpips"])
    if name == "features" and features is None:
        raise UserError("score features: needs a network; train one by `vaegan train-features`, and give --features")
    if name == "realness" and not isinstance(model.config, GANConfig):
        raise UserError(f"score realness: {run} has no discriminator; use a VAE-GAN, or pixels")
    if name == "realness" and get_packing(model.config) > 1:
        problem = f"the discriminator of {run} scores pairs of images (model.discriminator.packing)"
        raise UserError(f"score realness: {problem}; use pixels")
    if name == "realness" and read_newest_fingerprint(Run(run).checkpoints) is None:
        raise UserError(f"score realness: {run} has no checkpoint with its discriminator; name another score")


def _load_classifier(path: Path, model: Autoencoder) -> Classifier:
    classifier = load_classifier(path)
    if classifier.image_shape != model.image_shape:
        expected, given = ("x".join(map(str, shape)) for shape in (classifier.image_shape, model.image_shape))
        raise UserError(f"--features {path}: for images of {expected}, not {given}; train one on these images")
    return classifier.to(next(model.parameters()).device)
