"""The training of a model: one loop, and one file per family with its step."""

from .loop import train

__all__ = ["train"]
