"""What is said of an image set is what a second, plain computation says of it."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vaegan.config.data import DataConfig
from vaegan.data import open_data, read_image, reading, sources
from vaegan.data.contact_sheet import CAPTION_PIXELS, COLUMNS, GAP_PIXELS, MARGIN_PIXELS, MAX_ROWS, draw_contact_sheet
from vaegan.data.description import DataDescription, NamedImage, describe_data
from vaegan.images import to_pil
from vaegan.progress import Reporter

from .image_sets import embedded_config, folder_config, list_splits, make_image, read_all, write_image_tree


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder of two classes with images of several kinds, two of them equal, and two broken ones."""
    root = write_image_tree(tmp_path / "mixed", 20)
    make_image(9, 40, 50, "CMYK").save(root / "cat" / "c.jpg")
    make_image(12, 12, 51, "L").save(root / "dog" / "l.tif")
    exif = Image.Exif()
    exif[0x0112] = 6
    make_image(40, 20, 52).save(root / "dog" / "turned.jpg", exif=exif)
    shutil.copy(root / "cat" / "00.png", root / "dog" / "copy.png")
    (root / "cat" / "text.jpg").write_text("x")
    whole = (root / "cat" / "02.png").read_bytes()
    (root / "cat" / "torn.png").write_bytes(whole[: len(whole) // 2])
    return root


def describe(root: Path, **settings: object) -> DataDescription:
    return describe_data(folder_config(root, **settings), Reporter())


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_a_folder_of_mixed_images_is_described(mixed: Path, cache: str) -> None:
    found = describe(mixed, cache=cache, strict=False)
    assert found.count == 24 and set(found.broken) == {"cat/text.jpg", "cat/torn.png"}
    assert found.broken["cat/text.jpg"] == "not an image"
    assert dict(found.count_stored("mode")) == {"RGB": 22, "CMYK": 1, "L": 1}
    assert dict(found.count_stored("format")) == {"PNG": 21, "JPEG": 2, "TIFF": 1}
    sizes = Counter(f"{16 + n}x{30 - n}" for n in range(20)) + Counter(["9x40", "12x12", "20x40", "16x30"])
    assert dict(found.count_stored("size")) == sizes and found.count_stored("size")[0] == ("16x30", 2)
    assert [image[:2] for image in found.find_extremes()] == [(12, 12), (20, 40)]
    assert found.enlarged == sum(n for size, n in sizes.items() if min(map(int, size.split("x"))) < 16)
    assert [[image.name for image in group] for group in found.duplicates] == [["cat/00.png", "dog/copy.png"]]
    totals = {name: sum(counts.values()) for name, counts in found.classes.items()}
    assert totals == {"cat": 11, "dog": 13}


def test_mean_and_deviation_are_those_of_the_training_images(mixed: Path) -> None:
    found = describe(mixed)
    pixels = read_all(open_data(folder_config(mixed)).train).double() / 255
    assert found.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=1e-12)
    assert found.deviation == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), abs=1e-9)


@pytest.mark.parametrize("source", ["digits", "photos", "shapes"])
def test_embedded_sets_are_described_by_the_splits_that_train(source: str) -> None:
    config = embedded_config(source)
    found, data = describe_data(config, Reporter()), open_data(config)
    for name, images in zip(("train", "validation", "test"), list_splits(data), strict=True):
        expected = {data.classes[label]: number for label, number in Counter(images.labels.tolist()).items()}
        assert {label: counts[name] for label, counts in found.classes.items() if counts[name]} == expected
    assert bool(found.stored) == (source == "digits") and not found.broken


def test_copies_within_and_across_splits_are_counted(tmp_path: Path) -> None:
    pixels = np.stack([np.array(make_image(8, 8, n % 3)) for n in range(12)])
    np.save(tmp_path / "images.npy", pixels)
    found = describe_data(DataConfig(source="arrays", root=tmp_path, image_size=8, channels=3), Reporter())
    assert found.count_duplicates() == (12 - 3, 0)
    groups = (["train", "test"], ["test", "train", "train", "validation"])
    found.duplicates[:] = [[NamedImage("x", split) for split in group] for group in groups]
    assert found.count_duplicates() == (1, 3)


def test_a_set_too_large_to_be_verified_is_verified_by_its_description(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (reading, sources):
        monkeypatch.setattr(module, "MAX_VERIFIED_IMAGES", 5)
    config, before, after = folder_config(mixed, cache="none"), list[str](), list[str]()
    data = open_data(config, before.append)
    assert "only their headers were checked" in before[0] and "torn.png" not in before[1]  # its header is whole
    assert set(describe_data(config, Reporter()).broken) == {"cat/text.jpg", "cat/torn.png"}
    verified = open_data(config, after.append)
    assert len(after) == 1 and "torn.png (" in after[0]
    assert sum(map(len, list_splits(verified))) == sum(map(len, list_splits(data))) - 1


def test_everything_is_plain_json(mixed: Path) -> None:
    found = describe(mixed)
    read = json.loads(json.dumps(found.to_json()))
    assert read["images"] == 24 and read["splits"] == {name: len(images) for name, images in found.splits.items()}
    assert [image["name"] for image in read["duplicates"][0]] == ["cat/00.png", "dog/copy.png"]
    assert read["broken"] == found.broken and read["root"] == str(mixed)


def test_a_contact_sheet_shows_each_class_as_a_network_sees_it(mixed: Path) -> None:
    found = describe(mixed)
    sheet = draw_contact_sheet(list(found.splits.values()))
    tile = 64
    assert sheet.width == 2 * MARGIN_PIXELS + COLUMNS * tile + (COLUMNS - 1) * GAP_PIXELS
    names = sorted(
        path.relative_to(mixed) for path in mixed.rglob("*.*") if str(path.relative_to(mixed)) not in found.broken
    )
    shown = {
        to_pil(torch.from_numpy(read_image(mixed / name, 16, 3))).resize((tile, tile), 0).tobytes() for name in names
    }
    top = sheet.height - MARGIN_PIXELS - GAP_PIXELS - tile
    for column in range(COLUMNS):
        left = MARGIN_PIXELS + column * (tile + GAP_PIXELS)
        assert sheet.crop((left, top, left + tile, top + tile)).tobytes() in shown
    assert sheet.crop((0, 0, sheet.width, MARGIN_PIXELS)).getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize(("source", "size", "tile"), [("digits", 8, 64), ("photos", 256, 128)])
def test_a_sheet_has_tiles_of_a_size_to_look_at(source: str, size: int, tile: int) -> None:
    data = open_data(embedded_config(source, image_size=size))
    sheet = draw_contact_sheet(list_splits(data))
    assert sheet.width == 2 * MARGIN_PIXELS + COLUMNS * tile + (COLUMNS - 1) * GAP_PIXELS
    assert len(data.classes) * tile < sheet.height < MAX_ROWS * (tile + 50)


def test_a_set_without_classes_fills_the_sheet(tmp_path: Path) -> None:
    for number in range(25):
        make_image(16, 16, number).save(tmp_path / f"{number:02}.png")
    sheet = draw_contact_sheet(list_splits(open_data(folder_config(tmp_path))))
    assert 3 * 64 < sheet.height < 4 * 64 + 2 * MARGIN_PIXELS


def test_a_caption_ends_within_the_sheet_by_the_number_of_images(tmp_path: Path) -> None:
    names = ["W" * 100 + end for end in "XY"]
    for name in [*names, "e\u0301", "\u00e9"]:
        (tmp_path / name).mkdir()
        for number in range(3):
            make_image(16, 16, len(name) + number).save(tmp_path / name / f"{number}.png")
    sheet = draw_contact_sheet(list_splits(open_data(folder_config(tmp_path))))
    assert sheet.crop((sheet.width - MARGIN_PIXELS, 0, sheet.width, sheet.height)).getextrema() == ((255, 255),) * 3
    height = 64 + GAP_PIXELS + CAPTION_PIXELS
    captions = [
        sheet.crop((0, top, sheet.width, top + CAPTION_PIXELS)).tobytes()
        for top in range(MARGIN_PIXELS, sheet.height - MARGIN_PIXELS, height)
    ]
    assert len(captions) == 4 and len(set(captions)) == 3  # a letter with its accent in one or in two code points
