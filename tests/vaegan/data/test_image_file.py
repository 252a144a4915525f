"""One image file: cropping, resizing, colour modes, orientation."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaegan.data import UnreadableImageError, read_image

from .image_sets import make_image


@pytest.mark.parametrize(("width", "height"), [(40, 24), (24, 40), (33, 32), (16, 500), (8, 9)])
def test_fitting_is_resizing_the_short_side_and_cropping_the_centre(tmp_path: Path, width: int, height: int) -> None:
    image = make_image(width, height)
    image.save(tmp_path / "x.png")
    scale = 16 / min(width, height)
    whole = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)
    left, top = (whole.width - 16) // 2, (whole.height - 16) // 2
    expected = np.asarray(whole.crop((left, top, left + 16, top + 16))).transpose(2, 0, 1)
    got = read_image(tmp_path / "x.png", 16, 3)
    exact = (width * scale) % 1 == 0 and (height * scale) % 1 == 0 and (whole.width - whole.height) % 2 == 0
    assert np.abs(got.astype(int) - expected.astype(int)).max() <= (1 if exact else 120)
    assert got.dtype == np.uint8 and got.shape == (3, 16, 16)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("mode", "ending"),
    [
        ("1", "png"),
        ("L", "png"),
        ("LA", "png"),
        ("P", "gif"),
        ("P", "png"),
        ("RGBA", "png"),
        ("CMYK", "jpg"),
        ("L", "jpg"),
    ],
)
def test_every_mode_is_read(tmp_path: Path, mode: str, ending: str, channels: int) -> None:
    grey = Image.fromarray(np.kron(np.array([[40, 200], [120, 250]], dtype=np.uint8), np.ones((8, 8), dtype=np.uint8)))
    grey.convert("RGB" if mode == "CMYK" else "L").convert(mode).save(tmp_path / f"x.{ending}")
    got = read_image(tmp_path / f"x.{ending}", 16, channels).astype(int)
    assert got.shape == (channels, 16, 16)
    if mode != "1":
        assert np.abs(got - np.asarray(grey).astype(int)).max() <= 6


def test_16_bit_grey_keeps_its_range_and_floats_are_refused(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "x.png")
    assert np.abs(read_image(tmp_path / "x.png", 16, 1)[0].astype(float) - values / 257).max() <= 0.51
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(UnreadableImageError, match="range is not known"):
        read_image(tmp_path / "x.tif", 16, 1)


def test_transparent_pixels_lie_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (16, 16), (255, 0, 0, 0)).save(tmp_path / "x.png")
    assert (read_image(tmp_path / "x.png", 16, 3) == 255).all()


def test_exif_orientation_is_obeyed_and_the_first_frame_is_taken(tmp_path: Path) -> None:
    upright = make_image(16, 16)
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "x.png", 16, 3), np.asarray(upright).transpose(2, 0, 1))
    red, blue = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    red.save(tmp_path / "x.gif", save_all=True, append_images=[blue])
    assert read_image(tmp_path / "x.gif", 16, 3)[:, 0, 0].tolist() == [255, 0, 0]
