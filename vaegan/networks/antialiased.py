"""Convolutional trunks like those of `conv`, in which a filter stands beside each strided convolution (Zhang 2019).

The weights of a strided or transposed convolution differ from one pixel of its stride to the next, so that it draws a
grid of lines: in images, and in the gradient of a discriminator (Odena et al. 2016). The filter removes it.
"""

from torch import nn

from . import conv
from .blur import Blur


class Down(conv.Down):
    """Trunk from an image to features, with the arguments of `conv.Down`."""

    @staticmethod
    def build_change(inputs: int, outputs: int) -> nn.Module:
        """Build the layer that halves the resolution."""
        return nn.Sequential(Blur(inputs), conv.Down.build_change(inputs, outputs))


class Up(conv.Up):
    """Trunk from a code to an image, `Down` mirrored, with the arguments of `conv.Up`."""

    @staticmethod
    def build_change(inputs: int, outputs: int) -> nn.Module:
        """Build the layer that doubles the resolution."""
        return nn.Sequential(conv.Up.build_change(inputs, outputs), Blur(outputs))
