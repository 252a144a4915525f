"""The shape of what a loss returns: one value per image."""

from torch import Tensor


def assert_per_image(values: Tensor, images: Tensor) -> Tensor:
    """Return the values of N images as they are, shape (N,).

    A mean would hide any other shape, such as that to which patches (N, h, w) and values (N,) are silently broadcast.

    Args:
        values: One value per image.
        images: Any tensor with one row for each of these images, shape (N, ...).

    Raises:
        AssertionError: The values have another shape.
    """
    assert values.shape == images.shape[:1], f"{tuple(values.shape)} of {len(images)} images"
    return values
