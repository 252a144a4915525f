"""Uses of a trained model beside sampling, all of them functions of `encode` and `decode`."""

from .attributes import (
    Attribute,
    edit_images,
    learn_attribute,
    load_attribute,
    save_attribute,
    translate_images,
)
from .label_files import label_paths, read_label_file

__all__ = [
    "Attribute", "edit_images", "label_paths", "learn_attribute", "load_attribute", "read_label_file", "save_attribute",
    "translate_images",
]  # fmt: skip
