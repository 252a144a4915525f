"""The trained model of a run, the class of images that a command is given, and the images the run was trained on."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from vaegan.errors import UserError
from vaegan.paths import HUB_FOLDER, HUB_PREFIX, is_searched
from vaegan.progress import Reporter

from .destinations import check_output_is_no_input
from .runs import is_model_alone, load_run_model

if TYPE_CHECKING:
    from vaegan.config.schema import Config
    from vaegan.data import Data, Images
    from vaegan.models import Autoencoder
    from vaegan.models.density import Density

MAX_CLASS_LIST_CHARACTERS = 500
"""Most characters of the list of a run's classes in a message."""


def get_hub_name(run: Path) -> str | None:
    """Return the name of a model on the Hub that a path of the command line spells; None: it is a folder."""
    return HUB_PREFIX + "/".join(run.parts[1:]) if run.parts[:1] == (HUB_FOLDER,) else None


def fetch_if_on_hub(run: Path) -> Path:
    """Return the folder of a model, which is fetched if the path is a name on the Hub.

    Raises:
        UserError: The name is not valid, or there is no model of this package.
        Failure: The Hub cannot be reached, or has no such model.
    """
    name = get_hub_name(run)
    if name is None:
        return run
    from vaegan.storage.hub import fetch_model

    return fetch_model(name)


def check_output_of_run(run: Path, *outputs: Path, data_root: Path | None = None) -> None:
    """Check that files are not written into the folder, or over a file, of the images that a run was trained on.

    Args:
        run: The run.
        outputs: The files, or folders of files.
        data_root: Folder that the images have moved to; None: they are where the config says.

    Raises:
        UserError: One would be, or ``run`` is no run folder.
    """
    from vaegan.storage.run_folder import Run

    if is_model_alone(run) or (data := Run(run).config.data).root is None:
        return
    for output, root in product(outputs, {data.root, data_root or data.root}):
        if data.source == "folder":
            check_output_is_no_input(output, [], [root])
        elif output.is_file() and root.exists() and (is_searched(output, root) or output.samefile(root)):
            problem = f"a file of the images that {run} was trained on, which it would replace"
            raise UserError(f"--output {output}: {problem}; name another file")


def choose_density(run: Path, density: str) -> "Config":
    """Return the config of a run with the density of an option as its `evaluate.density`.

    Raises:
        UserError: There is no such density, or the run's family can have none.
    """
    from vaegan.config.load import override_evaluation
    from vaegan.storage.run_folder import Run

    return override_evaluation(Run(run).config, {"density": density}, str(run))


def fit_density(config: "Config", model: "Autoencoder", images: "Images", reporter: Reporter) -> "Density":
    """Fit `evaluate.density` of a config to the codes of images, as an evaluation does."""
    from vaegan.density_fitting import fit_density_to_images

    density = config.evaluate.density
    assert density is not None
    with reporter.progress("Encoding", "images") as progress:
        return fit_density_to_images(density, model, images, config.seed, config.evaluate.batch_size, progress)


def fit_run_density(
    run: Path, density: str, model: "Autoencoder", reporter: Reporter, data_root: Path | None, allow_other_data: bool
) -> "Density":
    """Fit the density that an evaluation with `evaluate.density` would draw samples from.

    Raises:
        UserError: There is no such density, or the images that the run was trained on are missing or have changed.
    """
    from vaegan.storage.run_data import open_run_data
    from vaegan.storage.run_folder import Run

    if is_model_alone(run):
        problem = "fitted to the images that the model was trained on, and here is the model alone"
        raise UserError(f"--density {density}: {problem}; leave it out, or name the folder of its run")
    config = choose_density(run, density)
    try:
        data, config = open_run_data(Run(run), config, reporter, data_root=data_root, allow_other_data=allow_other_data)
    except UserError as error:
        raise UserError(f"--density {density}: fitted to the images that {run} was trained on; {error}") from None
    return fit_density(config, model, data.train, reporter)


def open_images_of_run(
    run: Path, split: str | None, reporter: Reporter, data_root: Path | None, allow_other_data: bool
) -> "tuple[Data, Config]":
    """Open the images of a run, and return them and its config, whose `evaluate.split` names a split with images.

    Args:
        run: Run folder.
        split: `train`, `validation` or `test`; None: that of the run's config.
        reporter: Shows progress and notes.
        data_root: Folder that the images have moved to; None: they are where the config says.
        allow_other_data: Whether to go on with images that are not those of the run.

    Raises:
        UserError: There is no such split, it has no image, or the images are missing or not those of the run.
    """
    from vaegan.config.load import override_evaluation
    from vaegan.evaluate.run_evaluation import check_images
    from vaegan.storage.run_data import open_run_data
    from vaegan.storage.run_folder import Run

    config = override_evaluation(Run(run).config, {"split": split}, str(run))
    data, config = open_run_data(Run(run), config, reporter, data_root=data_root, allow_other_data=allow_other_data)
    check_images(config, data, "--split")
    return data, config


def load_model_and_classes(
    run: Path, label: str | None, reporter: Reporter, found: Sequence[str | None], option: str = "--label"
) -> "tuple[Autoencoder, Mapping[str | None, int] | None]":
    """Load the model of a run, and return it and the number of the class that each class folder of images stands for.

    Args:
        run: Run folder.
        label: Name of the class of all images, or its number; None: their folders are their classes.
        reporter: Takes a note if the run is not finished.
        found: Class folder of each image; None: it was named by itself.
        option: Option that gives ``label``, for messages.

    Returns:
        The model, and the number of the class by the class folder; None: its networks take no class.

    Raises:
        UserError: There is no such model or class, or a class folder is no class of the run.
    """
    from vaegan.storage.loading import load, load_class_names

    names = load_class_names(run)
    others = [each for each in found if each not in names]
    if label is None and names and not others:
        model = load_run_model(run, load, reporter)
        numbers: dict[str | None, int] = {each: names.index(each) for each in found if each is not None}
        return model, numbers if model.networks_take_labels else None
    other = next((each for each in others if each is not None), None)
    model, number = load_model_and_class(run, label, reporter, of_images=True, other_class=other, option=option)
    return model, None if number is None else dict.fromkeys(found, number)


def load_model_and_class(
    run: Path,
    label: str | None,
    reporter: Reporter,
    of_images: bool = False,
    other_class: str | None = None,
    option: str = "--label",
) -> "tuple[Autoencoder, int | None]":
    """Load the model of a run, and find the number of the class that an option names; None if it is not given.

    Args:
        run: Run folder.
        label: Name of a class, or its number if no class has that name.
        reporter: Takes a note if the run is not finished.
        of_images: Whether it is the class of given images, which the networks of a conditional model may need.
        other_class: Class folder of images that is no class of the run, for the message.
        option: Option that gives ``label``, for messages.

    Raises:
        UserError: There is no such model or class, the model is unconditional, or it needs a class and none is given.
    """
    from vaegan.storage.loading import load
    from vaegan.text import shorten

    model = load_run_model(run, load, reporter)
    if label is None and (model.classes is None or not (of_images and model.networks_take_labels)):
        return model, None
    if model.classes is None:
        raise UserError(f"{option} {label}: {run} is unconditional; leave it out, or use a run with model.labels")
    if label is not None:
        return model, find_class(run, label, model.classes, option)
    problem = "the images come without labels" if other_class is None else f"{shorten(other_class)} is no class of it"
    raise UserError(f"{option}: {run} is conditional, and {problem}; give {_list_classes(run, model.classes)}")


def find_class(run: Path, label: str, classes: int, option: str = "--label") -> int:
    """Return the number of a class of a run's conditional model.

    Args:
        run: Run folder.
        label: Name of a class, or its number if no class has that name.
        classes: Number of classes of the model.
        option: Option that gives ``label``, for messages.

    Raises:
        UserError: There is no such class.
    """
    from vaegan.storage.loading import load_class_names
    from vaegan.text import make_encodable

    names = load_class_names(run)
    if make_encodable(label) in names:
        return names.index(make_encodable(label))
    if label.isascii() and label.isdecimal() and int(label) < classes:
        return int(label)
    raise UserError(f"{option} {label}: no class of {run}; give {_list_classes(run, classes)}")


def _list_classes(run: Path, classes: int) -> str:
    """Return the numbers and names of the classes of a run's conditional model, for a message."""
    from vaegan.storage.loading import load_class_names
    from vaegan.text import to_one_line

    named = ", ".join(f"{number} ({name})" for number, name in enumerate(load_class_names(run)) if name != str(number))
    return f"0 to {classes - 1}" + (f", or by name: {to_one_line(named, MAX_CLASS_LIST_CHARACTERS)}" if named else "")
