"""Install the code folders vaegan/, trainers/, evaluate/ and configs/ as one package, `vaegan`.

The settings of development tools are in pyproject.toml.
"""

import re
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent


def read_version() -> str:
    """Read the version in ``vaegan/__init__.py`` as text: the package cannot be imported before it is installed."""
    text = (HERE / "vaegan" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if match is None:
        raise RuntimeError('vaegan/__init__.py: no line __version__ = "..."')
    return match[1]


# The folders trainers/, evaluate/ and configs/ lie at the root of the checkout but are installed inside vaegan: a
# top-level package called `evaluate` would overwrite Hugging Face's `evaluate`, or be shadowed by it. For the same
# reason evaluate/ has no __init__.py: it is a namespace package, so that Hugging Face's regular package is preferred
# even if the checkout is on sys.path. The links vaegan/trainers, vaegan/evaluate and vaegan/configs are for editors,
# mypy and runs without an install; nothing is packed through them.
PACKAGE_DIR = {
    "vaegan": "vaegan",
    "vaegan.api": "vaegan/api",
    "vaegan.applications": "vaegan/applications",
    "vaegan.cli": "vaegan/cli",
    "vaegan.compression": "vaegan/compression",
    "vaegan.config": "vaegan/config",
    "vaegan.data": "vaegan/data",
    "vaegan.data.large_sets": "vaegan/data/large_sets",
    "vaegan.data.webdataset": "vaegan/data/webdataset",
    "vaegan.exports": "vaegan/exports",
    "vaegan.explorer": "vaegan/explorer",
    "vaegan.generation": "vaegan/generation",
    "vaegan.latents": "vaegan/latents",
    "vaegan.losses": "vaegan/losses",
    "vaegan.models": "vaegan/models",
    "vaegan.networks": "vaegan/networks",
    "vaegan.storage": "vaegan/storage",
    "vaegan.workflows": "vaegan/workflows",
    "vaegan.trainers": "trainers",
    "vaegan.trainers.log": "trainers/log",
    "vaegan.trainers.steps": "trainers/steps",
    "vaegan.evaluate": "evaluate",
    "vaegan.evaluate.comparing": "evaluate/comparing",
    "vaegan.evaluate.metrics": "evaluate/metrics",
    "vaegan.evaluate.report": "evaluate/report",
    "vaegan.configs": "configs",
}

PACKAGE_DATA = {
    "vaegan": ["py.typed"],
    "vaegan.explorer": ["templates/*"],
    "vaegan.evaluate.report": ["*.j2"],
    "vaegan.configs": ["**/*.yaml"],
}

# Enough to load a trained model and use it, in Python and on the command line. What else is needed for what stands in
# vaegan/extras.py, which names the extra where a package is missing.
REQUIRES = [
    "click>=8.1",
    "numpy>=1.26",
    "pillow>=10.3",
    "pydantic>=2.7",  # use_attribute_docstrings
    "pyyaml>=6.0.1",
    "rich>=13.7",
    "safetensors>=0.4.3",
    "torch>=2.6",
]

MATPLOTLIB = "matplotlib>=3.8"
SCIKIT_LEARN = "scikit-learn>=1.4"
TORCHVISION = "torchvision>=0.21"  # the release for torch 2.6

TRAIN = ["accelerate>=1.2", "psutil>=5.9", SCIKIT_LEARN, "simplejpeg>=1.7", TORCHVISION]

EVAL = [
    "jinja2>=3.1",
    "lpips>=0.1.4",
    MATPLOTLIB,
    "pandas>=2.1",
    SCIKIT_LEARN,
    "scipy>=1.11",
    "torchmetrics>=1.5",
    TORCHVISION,
]

WANDB = [MATPLOTLIB, "wandb>=0.31"]

CELEBA = ["gdown>=5"]  # torchvision downloads CelebA from Google Drive with it

HUGGINGFACE = ["datasets>=4.0"]  # since then it runs no code of a set

HUB = ["huggingface-hub>=0.34"]  # to send models to the Hugging Face Hub, and to load them from there

HEIF = ["pillow-heif>=0.16"]  # HEIC photographs

DIFFUSERS = ["diffusers>=0.32"]  # networks of image tokenizers

COMPRESSION = ["constriction>=0.4"]  # range coder

EXPLORE = ["gradio>=6.31", "scipy>=1.11"]  # the page of `vaegan explore`

ONNX = ["onnx>=1.17", "onnxruntime>=1.20", "onnxscript>=0.3"]  # to write files of ONNX, and to check them

FID = ["torch-fidelity>=0.3"]  # has the Inception network

ALL = [
    *TRAIN, *EVAL, *WANDB, *FID, *CELEBA, *HEIF, *HUGGINGFACE, *DIFFUSERS, *COMPRESSION, *EXPLORE, *ONNX, *HUB,
]  # fmt: skip

TEST = [
    *ALL,
    "build>=1.2",
    "hypothesis>=6.100",
    "ipykernel>=6.29",
    "mpmath>=1.3",
    "nbclient>=0.10",
    "pip>=23.1",
    "prdc>=0.2",
    "pytest>=8.2",
    "pytest-xdist>=3.6",
    "pytorch-fid>=0.3",
    "setuptools>=77",
    "vector-quantize-pytorch>=1.20",
]

PEERS = ["pythae>=0.1.2", *DIFFUSERS]  # benchmarks/peers.py, benchmarks/ranks.py

DOCS = ["mkdocs-material>=9.6", "mkdocstrings[python]>=1.0"]

DEV = [
    "mypy>=1.15",
    "opencv-python-headless>=4.8",  # the baseline of benchmarks/completion.py
    "ruff>=0.12",
    "types-psutil>=5.9",
    "types-PyYAML>=6.0.12",
]

setup(
    name="vaegan",
    version=read_version(),
    description="Train, measure and compare autoencoder generators: AE, VAE, two-way and three-way VAE-GAN",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=list(PACKAGE_DIR),
    package_dir=PACKAGE_DIR,
    package_data=PACKAGE_DATA,
    include_package_data=False,
    install_requires=REQUIRES,
    extras_require={
        "train": TRAIN,
        "eval": EVAL,
        "wandb": WANDB,
        "fid": FID,
        "celeba": CELEBA,
        "compression": COMPRESSION,
        "diffusers": DIFFUSERS,
        "explore": EXPLORE,
        "heif": HEIF,
        "hub": HUB,
        "huggingface": HUGGINGFACE,
        "onnx": ONNX,
        "all": ALL,
        "peers": PEERS,
        "docs": DOCS,
        "test": TEST,
        "dev": TEST + DEV,
    },
    entry_points={"console_scripts": ["vaegan = vaegan.cli.main:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
