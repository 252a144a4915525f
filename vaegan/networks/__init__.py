"""Encoder, decoder and discriminator over trunks of several kinds, the keys of `TRUNKS`.

The module of each kind has the trunk `Down` from an image to features, and the trunk `Up` from a code to an image;
``patch``, which only discriminators have, has no `Up`. Generators use GroupNorm or LayerNorm, or no norm if their
blocks begin as the identity. Discriminators use no norm, or GroupNorm if they score patches. BatchNorm, which would tie
an image to its neighbours in the batch, is used nowhere.
"""

from . import antialiased, conv, inverted_residual, mlp, patch, resnet

TRUNKS = {
    "mlp": mlp, "conv": conv, "antialiased": antialiased, "resnet": resnet, "inverted_residual": inverted_residual,
    "patch": patch,
}  # fmt: skip
"""Module of each kind of trunk."""
