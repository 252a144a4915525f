"""The settings of the images, the section `data` of a run."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from vaegan.paths import HUB_PREFIX

from .section import FROM_PYTHON, INTEGER, Channels, Fraction, Section, Side, Text, make_absolute

SourceName = Literal[
    "digits", "photos", "shapes", "folder", "arrays", "huggingface", "webdataset", "mnist", "fashion_mnist", "cifar10",
    "celeba", "given",
]  # fmt: skip
DataVersion = Annotated[Literal[1, 2], INTEGER]
Fit = Literal["crop", "stretch"]
Crop = Literal["centre", "random", "random_resized"]
Folders = Literal["classes", "splits"]
HubName = Annotated[
    str,
    Field(pattern=r"^(hf://)?\w[\w.-]*(/[\w.-]+)?(:[\w.-]+)?$"),
    AfterValidator(lambda name: name.removeprefix(HUB_PREFIX)),
]
"""Name of a set on the Hub, which is kept without `HUB_PREFIX`."""

SYNTHETIC_SOURCES: tuple[SourceName, ...] = ("photos", "shapes")
"""Sources whose number of images is a setting."""
ROOTED_SOURCES: tuple[SourceName, ...] = ("folder", "arrays", "huggingface", "webdataset")
"""Sources that are the images under `data.root`, whatever they are."""
CHANGEABLE_SOURCES: tuple[SourceName, ...] = (*ROOTED_SOURCES, "given")
"""Sources that are whatever the user puts there, so that a run keeps a list of their images."""
DOWNLOADED_SOURCES: tuple[SourceName, ...] = ("mnist", "fashion_mnist", "cifar10", "celeba")
"""Official sets, which torchvision can fetch."""


class DataConfig(Section):
    """The images."""

    source: SourceName
    """Image set. `digits`, `photos` and `shapes` are embedded; `folder` is any tree of image files under `root`;
    `arrays` is `root` itself, a `.npy`, `.npz` or `.safetensors` file of uint8 pixels (and labels); `huggingface` is a
    set of the library `datasets`: Parquet or Arrow files, or what `save_to_disk` wrote, under `root`, or `hub`;
    `webdataset` is tar shards under `root`, indexed by `vaegan index`; `mnist`, `fashion_mnist`, `cifar10` and `celeba`
    are read from torchvision's files under `root`. `given`: images that `vaegan.train(data=...)` was given in
    Python."""
    root: Annotated[Path, FROM_PYTHON, make_absolute("data.root")] | None = None
    """Folder of the images (`folder`), their file (`arrays`), either (`huggingface`, `webdataset`), or folder that
    holds or receives the set (`mnist`, ...; None: `data` in the working folder). The embedded sets take none."""
    folders: Folders | None = None
    """`folder`: what the folders right under `root` are: `classes`, or `splits` named train, val and test or alike,
    with folders of classes in them or without. None: classes, but folders that are named like splits are refused."""
    hub: HubName | None = None
    """`huggingface`: name of a set on the Hub in the place of `root`, `hf://owner/name` or `hf://owner/name:subset`,
    with or without `hf://`; no code from there is run."""
    image_column: Text | None = None
    """`huggingface`: column of the images; None: the only one that can hold them."""
    label_column: Text | None = None
    """`huggingface`: column of the labels, numbers from 0 or text; None: the only column that is known to hold
    classes."""
    image_size: Side
    """Height and width in pixels; images of other sizes are resized (antialiased bicubic, short side) and
    centre-cropped."""
    channels: Channels = 3
    """Channels of the images. 1: grey (luminance); 3: RGB; for these two, transparent pixels are laid on white. 2: grey
    and alpha; 4: RGBA; both only for `folder`, `arrays`, `huggingface`, `webdataset` and `given`, and laid on white by
    metrics of what is seen."""
    fit: Fit = "crop"
    """Fitting of images that are not square: `crop` the centre, or `stretch` both sides to `image_size`."""
    crop: Crop = "centre"
    """Part of a training image that a step sees, as a function of seed, step and index in the batch: the `centre`; a
    `random` square as wide as the short side; or, `random_resized`, a box of 1/4 to 1 of that square's area with sides
    in a ratio of 3/4 to 4/3, resized to `image_size`. Evaluations take the centre. Crops are cut on the CPU."""
    count: Annotated[int, Field(ge=10, le=100_000_000)] | None = None
    """`photos` and `shapes`: number of images in all splits together; None: 10,000. Other sources take none."""
    validation: Fraction = 0.1
    """Fraction of the images that is held out for evaluation during training; `celeba` keeps its official split."""
    test: Fraction = 0.1
    """Fraction that is held out for the final evaluation; `mnist`, `fashion_mnist`, `cifar10` and `celeba` keep their
    official test split."""
    horizontal_flip: bool = False
    """Mirror each training image with probability 1/2, as a function of seed, step and index in the batch."""
    cache: Literal["auto", "device", "memory", "none"] = "auto"
    """Storage of the decoded images (uint8): `device`, `memory`, or `none`, where worker processes decode them ahead.
    `auto`: `device` for up to 1 GiB on an accelerator, `memory` for up to 4 GiB, else `none`."""
    workers: Annotated[int, Field(ge=0, le=256)] = 4
    """Worker processes of each rank that decode images ahead under `cache: none`; 0: the training process decodes."""
    strict: bool = False
    """`folder`: a file that cannot be read as an image is an error instead of a warning."""
    download: bool = False
    """Let torchvision download `mnist`, `fashion_mnist`, `cifar10` or `celeba` if it is missing."""
    sha256: str | None = None
    """`given`: SHA-256 of images and labels, hexadecimal, which `vaegan.train` fills in."""
    version: DataVersion = 2
    """Version of decoding and splitting. 1: that of runs whose `config.yaml` names no version; they keep it when they
    are resumed, evaluated or compared. 2: the name of an image decides its split."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, S, S) of the images."""
        return self.channels, self.image_size, self.image_size

    @model_validator(mode="after")
    def _check_consistency(self) -> "DataConfig":
        for name in ("hub", "image_column", "label_column"):
            if self.source != "huggingface" and getattr(self, name) is not None:
                raise ValueError(f"data.{name}: only huggingface takes it; leave it out")
        if self.source == "huggingface" and (self.root is None) == (self.hub is None):
            problem = "missing" if self.root is None else "given beside data.hub"
            raise ValueError(f"data.root: {problem}; data.source=huggingface needs either data.root or data.hub")
        if self.source in ("folder", "arrays", "webdataset") and self.root is None:
            place = {"folder": "folder", "arrays": "file"}.get(self.source, "folder or file")
            raise ValueError(f"data.root: missing; data.source={self.source} needs the {place} of the images")
        for name, default in (("fit", "crop"), ("crop", "centre")):
            if (value := getattr(self, name)) != default and self.version == 1:
                raise ValueError(f"data.{name}: {value} came with data.version 2; leave one of them out")
        if self.fit == "stretch" and self.source in SYNTHETIC_SOURCES:
            raise ValueError(f"data.fit: {self.source} are drawn as squares; leave it out")
        if self.channels in (2, 4) and (self.source not in CHANGEABLE_SOURCES or self.version == 1):
            reason = "came with data.version 2" if self.version == 1 else f"images of {self.source} are not transparent"
            raise ValueError(f"data.channels: {self.channels}: {reason}; give {self.channels - 1}")
        if self.fit == "stretch" and self.crop != "centre":
            raise ValueError(f"data.crop: {self.crop}: data.fit=stretch leaves nothing to crop; leave one of them out")
        if self.source in ROOTED_SOURCES[1:] and self.version == 1:
            raise ValueError(f"data.version: {self.source} came with version 2; leave it out")
        if self.source in ("digits", "given", *SYNTHETIC_SOURCES) and self.root is not None:
            origin = "of images in Python" if self.source == "given" else "embedded"
            raise ValueError(f"data.root: {self.source} is {origin} and has no folder; leave it out, or give null")
        if self.folders is not None and (self.source != "folder" or self.version == 1):
            reason = "came with data.version 2" if self.source == "folder" else "only folder takes it"
            raise ValueError(f"data.folders: {reason}; leave it out")
        if self.source != "folder" and self.strict:
            raise ValueError("data.strict: only folder takes it; leave it out")
        if self.source not in DOWNLOADED_SOURCES and self.download:
            raise ValueError("data.download: only mnist, fashion_mnist, cifar10 and celeba are fetched; leave it out")
        if self.source not in SYNTHETIC_SOURCES and self.count is not None:
            raise ValueError(f"data.count: only {' and '.join(SYNTHETIC_SOURCES)} take it; leave it out")
        if self.source != "given" and self.sha256 is not None:
            raise ValueError("data.sha256: only given has it; leave it out")
        if self.validation + self.test >= 1:
            raise ValueError("data.validation: with data.test it leaves no image to train on; keep their sum below 1")
        return self
