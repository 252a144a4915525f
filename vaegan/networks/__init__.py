"""Encoder, decoder and discriminator over trunks of three kinds: ``mlp``, ``conv`` and ``resnet``.

Generators use GroupNorm or LayerNorm, discriminators no norm at all; BatchNorm, which would tie an image to
its neighbours in the batch, is used nowhere.
"""
