"""Encoder, decoder and discriminator over trunks of three kinds: ``mlp``, ``conv`` and ``resnet``.

The module of each kind has the trunk `Down` from an image to features, and the trunk `Up` from a code to an image.
Generators use GroupNorm or LayerNorm, discriminators no norm at all; BatchNorm, which would tie an image to
its neighbours in the batch, is used nowhere.
"""

from . import conv, mlp, resnet

TRUNKS = {"mlp": mlp, "conv": conv, "resnet": resnet}
"""Module of each kind of trunk."""
