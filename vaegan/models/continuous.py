"""The base of the families whose code is continuous: one vector, or a grid of vectors."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from vaegan.config.architectures import ContinuousConfig
from vaegan.networks.build import build_decoder, build_encoder
from vaegan.networks.given import GivenNetworks, check_modules

from .autoencoder import Autoencoder
from .inputs import Labels, check_tensor, prepare_images
from .posterior import Posterior


class ContinuousAutoencoder(Autoencoder):
    """Base of a model whose code z is continuous: one vector, or a grid of vectors, flat in (N, d).

    The networks of a grid have no linear layer, so that images of any sides that are multiples of the downsampling can
    be encoded, and `decode` takes grids (N, C', h, w) of any sides beside flat codes of the `code_shape`.

    Args:
        config: The `model` section of a run's config; None: the settings alone.
        image_shape: (C, S, S) of the images, S a multiple of 4.
        seed: Root of the initial weights.
        networks: Modules that take the place of `encoder` and `decoder`, by these names; see `vaegan.networks.given`.
        settings: Settings of the `model` section by name, which replace those of `config`.

    Raises:
        UserError: `image_shape` is missing or is no such shape, a setting is wrong, or `networks` holds no modules.
    """

    config: ContinuousConfig
    code_parameters: ClassVar[int]
    """Outputs of the encoder for each value of the code."""

    def __init__(
        self,
        config: ContinuousConfig | None = None,
        image_shape: Sequence[int] | None = None,
        seed: int = 0,
        *,
        networks: GivenNetworks | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(config, image_shape, **settings)
        networks = networks or {}
        check_modules(networks)
        shape, classes = self.image_shape, self.classes
        self.code_shape = self.config.get_code_shape(shape)
        self.encoder = build_encoder(self.config, shape, self.code_parameters, classes, seed, networks)
        self.decoder = build_decoder(self.config, shape, classes, seed, networks)

    @property
    def has_grid(self) -> bool:
        """True if the code is a grid of vectors."""
        return len(self.code_shape) > 1

    @property
    def downsampling(self) -> int:
        """Side of the images divided by that of the grid that is their code."""
        return self.image_shape[1] // self.code_shape[1]

    def encode(self, images: Tensor, labels: Labels = None) -> Posterior:
        """Return the posterior over the codes of images, of shape (N, d); a grid of other images has another d.

        Args:
            images: Shape (N, C, S, S) in [-1, 1], or uint8 pixels; with a grid (N, C, H, W).
            labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.

        Raises:
            UserError: `images` are of another shape, dtype or device than the model takes, or a side is no multiple of
                the downsampling; or `labels` are of another type or shape, name no class of the model, are missing, or
                are given to an unconditional model.
        """
        if not self.has_grid or not isinstance(images, Tensor) or images.ndim != len(self.image_shape) + 1:
            return super().encode(images, labels)
        shape = (self.image_shape[0], images.shape[2], images.shape[3])
        self.config.get_code_shape(shape)
        images = prepare_images(images, shape, next(self.parameters()))
        return self._encode(images, self.check_labels(labels, len(images)))

    def decode(self, codes: Tensor, labels: Labels = None) -> Tensor:
        """Decode codes to images, shape (N, C, S, S) in [-1, 1], or of the sides that grids of other sides belong to.

        Args:
            codes: Shape (N, d), or (N, C', h, w) of grids of any sides.
            labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.

        Raises:
            UserError: `codes` are of another shape, dtype or device than the model takes; or `labels` are of another
                type or shape, name no class of the model, are missing, or are given to an unconditional model.
        """
        if not self.has_grid or not isinstance(codes, Tensor) or codes.ndim != len(self.code_shape) + 1:
            return super().decode(codes, labels)
        check_tensor("codes", codes, (self.code_shape[0], *codes.shape[2:]), next(self.parameters()))
        return self._decode(codes, self.check_labels(labels, len(codes)))

    def reconstruct(self, images: Tensor, labels: Labels = None) -> Tensor:
        """Decode the posterior means of images, of the shape of the images.

        Args:
            images: Shape (N, C, H, W) in [-1, 1], or uint8 pixels; (N, C, S, S) unless the model has a grid.
            labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.

        Raises:
            UserError: `images` are of another shape, dtype or device than the model takes; or `labels` are of another
                type or shape, name no class of the model, are missing, or are given to an unconditional model.
        """
        means = self.encode(images, labels).mean
        return self.decode(
            means.unflatten(1, self.config.get_code_shape((images.shape[1], images.shape[2], images.shape[3]))), labels
        )

    def unflatten(self, codes: Tensor) -> Tensor:
        """Return codes (N, d) as the decoder takes them: as they are, or as grids (N, C', h, w)."""
        return codes.unflatten(1, self.code_shape) if codes.ndim == 2 else codes

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        images: Tensor = self.decoder(self.unflatten(codes), labels)
        return images
