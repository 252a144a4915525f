"""Measure edits along directions of codes, and translations to another class, beside a shift of pixels.

    python benchmarks/attributes.py RUN... --classifier FEATURES
    python benchmarks/attributes.py RUN... --classifier FEATURES --source neutral --target smiling

Each held-out image (test split) is changed to the next class, or those of one class to another, by

- the direction from class to class in the codes of each unconditional RUN, learned from its training images;
- each conditional RUN, which decodes the code under the other class;
- the plain baseline: the difference between the two classes' mean training images, added to the pixels.

A classifier of `vaegan train-features`, which has seen none of the images, says how often the change arrives. LPIPS to
the original says how much of the image is left. KID in the classifier's features, to the held-out images of the classes
that are changed to, says how real the results are. RUNs and classifier must have been trained on the same split.
Recorded results: benchmarks/README.md.
"""

import argparse
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vaegan.applications import Attribute, edit_images, learn_attribute, translate_images
from vaegan.applications.attributes import METHODS, Accuracy, Method, estimate_accuracy
from vaegan.applications.encoding import encode_images
from vaegan.cli.console import Console
from vaegan.data import Images
from vaegan.evaluate.comparing.bootstrap import Estimate, estimate, estimate_from_blocks
from vaegan.evaluate.metrics.dealt_rows import deal_tensor
from vaegan.evaluate.metrics.kid import compute_block_values, compute_kid
from vaegan.evaluate.metrics.metric import round_to_8_bits
from vaegan.images import to_float
from vaegan.losses.perceptual import load_evaluation_lpips, lpips_distance
from vaegan.models import Autoencoder, Classifier
from vaegan.storage.loading import load, load_classifier, load_weights_hash
from vaegan.storage.run_data import open_run_data
from vaegan.storage.run_folder import Run

STRENGTHS = (0.5, 1.0, 1.5, 2.0)
"""Strengths of the edits: 1 moves from the mean of the one class to that of the other."""
BATCH_IMAGES = 64
"""Images that are computed at a time."""
MAX_TRAINING_IMAGES = 10_000
"""Most training images that directions and mean images are taken from, evenly spaced."""

Pairs = list[tuple[int, int]]
"""Classes: from which, to which."""
Change = Callable[[Tensor, int, int], Tensor]
"""A function of images (N, C, S, S) and the classes from and to which to change them, which returns them changed."""


class Judge(NamedTuple):
    """Judges of the changed images."""

    images: Tensor
    """The originals, shape (N, C, S, S) in [-1, 1]."""
    sources: Tensor
    """Their classes, int64, shape (N,)."""
    targets: Tensor
    """The classes to change them to, int64, shape (N,)."""
    classifier: Classifier
    lpips: nn.Module
    real: Tensor
    """Features of held-out images of the target classes, shape (M, d)."""

    @torch.no_grad()
    def measure(self, change: Change) -> list[Accuracy | Estimate]:
        """Return how often the classifier sees the target, LPIPS to the original, and KID to images of the targets."""
        seen, distances, features = list[Tensor](), list[Tensor](), list[Tensor]()
        for pair in sorted({*zip(self.sources.tolist(), self.targets.tolist(), strict=True)}):
            chosen = ((self.sources == pair[0]) & (self.targets == pair[1])).nonzero()[:, 0]
            for batch in chosen.split(BATCH_IMAGES):
                changed = round_to_8_bits(change(self.images[batch], *pair))
                features.append(self.classifier.features(changed))
                seen.append(self.classifier.head(features[-1]).argmax(1) == pair[1])
                distances.append(lpips_distance(self.lpips, self.images[batch], changed).double())
        share = estimate_accuracy(int(torch.cat(seen).sum()), len(self.images))
        distance = estimate([{"lpips": torch.cat(distances)[:, None]}], lambda means: means["lpips"][:, 0])
        both = deal_tensor(self.real), deal_tensor(torch.cat(features))
        return [share, distance, estimate_from_blocks([compute_kid(*both)], [compute_block_values(*both)])]


def learn_directions(
    run: Run, model: Autoencoder, train: Images, test: Images, pairs: Pairs
) -> dict[tuple[int, int], Attribute]:
    """Learn the direction of each pair of classes from the codes of training images."""
    weights, positions = load_weights_hash(run), train.select_evenly(MAX_TRAINING_IMAGES)
    codes, labels = encode_images(model, train, positions).mean, train.labels[positions]
    others, truth = encode_images(model, test).mean, test.labels
    learned = {}
    for source, target in pairs:
        chosen, held_out = ((each == source) | (each == target) for each in (labels, truth))
        learned[source, target] = learn_attribute(
            codes[chosen], labels[chosen] == target, others[held_out], truth[held_out] == target,
            positive=str(target), negative=str(source), weights=weights,
        )  # fmt: skip
    return learned


def compute_mean_images(train: Images, classes: int) -> Tensor:
    """Return the mean training image of each class, shape (K, C, S, S)."""
    positions = train.select_evenly(MAX_TRAINING_IMAGES)
    labels = train.labels[positions]
    return torch.stack([to_float(train[positions[labels == number]]).mean(0) for number in range(classes)])


def print_row(name: str, strength: float | None, figures: list[Accuracy | Estimate]) -> None:
    """Print one line of the table."""
    scales = (100, 1, 1000)
    formats = ("{:.1f} ({:.1f} to {:.1f})", "{:.3f} ({:.3f} to {:.3f})", "{:.1f} ({:.1f} to {:.1f})")
    cells = [
        text.format(*(scale * value for value in (figure.value, figure.low, figure.high)))
        for text, scale, figure in zip(formats, scales, figures, strict=True)
    ]
    print("|", " | ".join([name, "" if strength is None else f"{strength:g}", *cells]), "|", flush=True)


def measure_run(path: Path, train: Images, test: Images, pairs: Pairs, judge: Judge) -> str:
    """Print the lines of a run, and return the held-out accuracy of its directions in words."""
    name, model = path.parent.name if path.name.startswith("seed_") else path.name, load(path)
    if model.classes is not None:
        print_row(f"{name}: reconstruction", None, judge.measure(lambda images, a, _: model.reconstruct(images, a)))
        print_row(f"{name}: translate", None, judge.measure(lambda *change: translate_images(model, *change)))
        return ""
    learned = learn_directions(Run(path), model, train, test, pairs)
    print_row(f"{name}: reconstruction", None, judge.measure(lambda images, *_: model.reconstruct(images)))
    for method, residual, strength in product(METHODS, (False, True), STRENGTHS):

        def change(images: Tensor, *pair: int, settings: tuple[Method, bool, float]) -> Tensor:
            direction = learned[pair].directions[settings[0]]
            return edit_images(model, images, [(direction, settings[2])], residual=settings[1])

        title = f"{name}: {method}{', --residual' * residual}"
        print_row(title, strength, judge.measure(partial(change, settings=(method, residual, strength))))
    means = {
        method: sum(each.header.accuracies[method].value for each in learned.values()) / len(learned)
        for method in METHODS
    }
    return ", ".join([name, *(f"{method} {100 * mean:.1f} %" for method, mean in means.items())])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--classifier", type=Path, required=True)
    parser.add_argument("--source", help="class of the images; by default all, each to the next one")
    parser.add_argument("--target", help="class to change them to")
    arguments = parser.parse_args()
    console, first = Console(), Run(arguments.runs[0])
    classifier, (network, lpips_name) = (
        load_classifier(arguments.classifier),
        load_evaluation_lpips("alex", console.note),
    )
    data, _ = open_run_data(first, first.config, console)
    train, test, classes = data.train, data.test, data.classes
    pairs = [(number, (number + 1) % len(classes)) for number in range(len(classes))]
    if arguments.source is not None:
        pairs = [(classes.index(arguments.source), classes.index(arguments.target))]
    next_class = dict(pairs)
    chosen = torch.tensor([position for position, label in enumerate(test.labels.tolist()) if label in next_class])
    sources = test.labels[chosen]
    targets = torch.tensor([next_class[number] for number in sources.tolist()])
    with torch.no_grad():
        of_targets = torch.isin(test.labels, targets.unique()).nonzero()[:, 0]
        real = torch.cat([classifier.features(test[batch]) for batch in of_targets.split(BATCH_IMAGES)])
    judge = Judge(to_float(test[chosen]), sources, targets, classifier, network, real)
    print(f"{len(chosen)} held-out images; {', '.join(f'{classes[a]} to {classes[b]}' for a, b in pairs)}\n")
    print(f"| | strength | target seen, % | lpips_{lpips_name} | KID × 1000 |\n| --- | --- | --- | --- | --- |")
    print_row("the originals", None, judge.measure(lambda images, *_: images))
    means = compute_mean_images(train, len(classes))
    for strength in STRENGTHS:

        def shift(images: Tensor, source: int, target: int, strength: float = strength) -> Tensor:
            return images + strength * (means[target] - means[source])

        print_row("pixel shift", strength, judge.measure(shift))
    accuracies = [measure_run(path, train, test, pairs, judge) for path in arguments.runs]
    print("\nHeld-out accuracy of the directions:", "; ".join(filter(None, accuracies)))


if __name__ == "__main__":
    main()
