"""Images that decode but lack pixels are found before the first step, and whole ones pass."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaegan.data import image_file, sources
from vaegan.data.description import describe_data
from vaegan.data.image_file import EncodedImage, UnreadableImageError, check_body
from vaegan.progress import Reporter

from .image_sets import folder_config, make_image, open_image_tree, write_image_tree
from .raw_files import make_png

NOISE = make_image(16, 16)
ROWS = np.asarray(NOISE).reshape(16, -1)
PHOTO = make_image(32, 32).resize((128, 128), Image.Resampling.BICUBIC)


def save(image: Image.Image, form: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def find_problem(content: bytes) -> str | None:
    with Image.open(BytesIO(content)) as image:
        image.load()  # Pillow makes no objection
    try:
        check_body(EncodedImage("x", content))
    except UnreadableImageError as error:
        return error.reason
    return None


def rebuild_png(content: bytes, data: bytes, parts: int = 1) -> bytes:
    """The file with other deflated rows, in several chunks."""
    head, size = content[:33], -(-len(data) // parts)
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    chunks = [*((b"IDAT", piece) for piece in pieces), (b"IEND", b"")]
    return head + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def test_a_png_file_with_half_of_its_rows_is_damaged() -> None:
    content = make_png(ROWS, 8, 2)
    half = zlib.compress(b"".join(b"\0" + row.tobytes() for row in ROWS[:8]))
    for parts in (1, 3):
        problem = find_problem(rebuild_png(content, half, parts))
        assert problem == "damaged: its pixels end early (392 of 784 bytes)"
    whole = zlib.compress(b"".join(b"\0" + row.tobytes() for row in ROWS))
    assert find_problem(rebuild_png(content, whole, 3)) is None
    assert find_problem(rebuild_png(content, whole)[:-12] + b"garbage") is None


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (33, 10)])
def test_whole_png_files_of_every_mode_pass(size: tuple[int, int]) -> None:
    image = make_image(*size)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        grey = np.asarray(image.convert("L")).astype(np.uint16)
        assert find_problem(save(Image.fromarray(grey) if mode == "I;16" else image.convert(mode), "PNG")) is None
    for colours in (2, 4, 16):
        assert find_problem(save(image.quantize(colours), "PNG")) is None
    animated = save(image, "PNG", save_all=True, append_images=[image.rotate(180)])
    assert find_problem(animated) is None


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (1, 20), (3, 2)])
def test_interlaced_png_files_are_counted_by_their_passes(size: tuple[int, int]) -> None:
    width, height = size
    pixels = np.arange(width * height, dtype=np.uint8).reshape(height, width)
    order = ["16462646", "77777777", "56565656", "77777777", "36463646", "77777777", "56565656", "77777777"]
    passes = np.array([[int(number) for number in row] for row in order])
    tiled = np.tile(passes, (3, 3))[:height, :width]
    data = b""
    for number in range(1, 8):
        for row in range(height):
            if (tiled[row] == number).any():
                data += b"\0" + pixels[row][tiled[row] == number].tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header
    start += struct.pack(">I", zlib.crc32(b"IHDR" + header))
    content = rebuild_png(start, zlib.compress(data))
    with Image.open(BytesIO(content)) as image:
        assert np.array_equal(np.asarray(image), pixels)
    assert find_problem(content) is None
    with pytest.raises(UnreadableImageError, match="its pixels end early"):
        check_body(EncodedImage("x", rebuild_png(start, zlib.compress(data[:-1]))))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"optimize": True}])
def test_a_jpeg_file_that_ends_early_or_has_a_hole_is_damaged(options: dict[str, object]) -> None:
    pytest.importorskip("simplejpeg")
    content = save(PHOTO, "JPEG", **options)
    middle = len(content) // 2
    assert find_problem(content) is None
    early = find_problem(content[:middle] + b"\xff\xd9")
    assert early == "damaged: premature end of data segment"
    hole = find_problem(content[: middle - 320] + bytes(640) + content[middle + 320 :])
    assert hole is not None and hole.startswith("damaged: ")


def test_jpeg_files_with_padding_or_of_any_mode_are_whole() -> None:
    pytest.importorskip("simplejpeg")
    content = save(PHOTO, "JPEG")
    for whole in (content, content + content, content[:-2] + bytes(2) + content[-2:], content + bytes(99)):
        assert find_problem(whole) is None
    for mode in ("L", "CMYK"):
        assert find_problem(save(PHOTO.convert(mode), "JPEG")) is None
    assert find_problem(save(PHOTO, "MPO", save_all=True, append_images=[PHOTO])) is None
    problem = find_problem(content[:-2] + bytes(99) + content[-2:])
    assert problem is not None and problem.endswith("extraneous bytes before marker 0xd9")


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_a_set_names_images_that_lack_pixels(tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_image_tree(tmp_path / "set", 8)
    (folder / "cat" / "half.png").write_bytes(make_png(ROWS[:8], 8, 2, missing=8))
    for _ in range(2):  # the second time by the kept verdict, where there is one
        monkeypatch.setattr(sources, "_read_cache", {})
        data, warnings = open_image_tree(folder, cache=cache)
        assert len(data.train) + len(data.validation) + len(data.test) == 8
        assert len(warnings) == 1 and "half.png (damaged: its pixels end early (392 of 784 bytes))" in warnings[0]
    reason = "damaged: its pixels end early (392 of 784 bytes)"
    assert describe_data(folder_config(folder, cache=cache), Reporter()).broken == {"cat/half.png": reason}
    assert not open_image_tree(folder, cache=cache, version=1)[1]


def test_what_finds_damage_is_part_of_what_verdicts_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    before = image_file.describe_decoder()
    monkeypatch.setattr(image_file, "has_simplejpeg", lambda: not before.count("simplejpeg"))
    assert image_file.describe_decoder() != before
