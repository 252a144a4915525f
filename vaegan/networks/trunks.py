"""The kinds of trunks that encoders, decoders and discriminators are built on."""

from . import conv, mlp, resnet

TRUNKS = {"mlp": mlp, "conv": conv, "resnet": resnet}
