"""The interface of `import vaegan`: train, evaluate, compare, ablate and load models in a notebook or a script.

Every process of a launch calls a function with the same arguments.
"""

from vaegan.config import Config, StudyConfig
from vaegan.images import show
from vaegan.latents.dataset import LatentDataset
from vaegan.plotting import plot_history
from vaegan.storage.run_folder import Run

from .data_sets import compress, decompress, encode_dataset, generate_dataset
from .models import export_run, load, push_run
from .runs import ablate, compare, evaluate_run, recipes, train

__all__ = [
    "Config", "LatentDataset", "Run", "StudyConfig", "ablate", "compare", "compress", "decompress", "encode_dataset",
    "evaluate_run", "export_run", "generate_dataset", "load", "plot_history", "push_run", "recipes", "show", "train",
]  # fmt: skip
