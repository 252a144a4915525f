"""Image sets: sources, decoding, splits, caching, and the stream of training batches."""

from .dataset import Data, Images
from .image_file import UnreadableImageError, read_image, silence_pillow
from .image_tree import find_images
from .sources import open_data, open_images
from .stream import MicroBatch, iterate_batches

__all__ = [
    "Data",
    "Images",
    "MicroBatch",
    "UnreadableImageError",
    "find_images",
    "iterate_batches",
    "open_data",
    "open_images",
    "read_image",
    "silence_pillow",
]
