"""Images: where they come from, how they are split, kept and served to training."""

from .folder import find_images
from .images import Data, Images
from .opening import open_data
from .pixels import Unreadable, read_image
from .stream import MicroBatch, batches

__all__ = ["Data", "Images", "MicroBatch", "Unreadable", "batches", "find_images", "open_data", "read_image"]
