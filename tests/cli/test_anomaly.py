"""`vaegan anomaly`: table, CSV file and contact sheet are those of the library, and what is wrong is one line."""

import csv
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

from vaegan import load
from vaegan.applications.anomaly_calibration import fit_conformal_detector
from vaegan.applications.anomaly_scores import compute_anomaly_scores
from vaegan.applications.anomaly_sheet import get_sheet_size
from vaegan.config import load_config
from vaegan.data import open_data
from vaegan.data.sources import open_images
from vaegan.storage.run_folder import Run

RATE = ("--false-alarms", 0.2)  # the tiny run has six validation images


@pytest.fixture
def pictures(work):
    """Twelve images of the kind that the run knows in `pictures/known`, and eight of noise in `pictures/noise`."""
    images = open_data(load_config("tiny.yaml").data).test[torch.arange(6)].repeat(2, 1, 1, 1)
    noise = torch.randint(0, 256, (8, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    for name, pixels in (("known", images), ("noise", noise)):
        (work / "pictures" / name).mkdir(parents=True)
        for index, image in enumerate(pixels):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(f"pictures/{name}/{index}.png")
    return torch.cat([images, noise])


def read_table(file):
    with open(file, newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def test_table_and_sheet_are_those_of_the_library(trained, pictures, vaegan):
    words = ("anomaly", trained, "pictures", "--anomalous", "noise", "--score", "pixels,elbo", *RATE, "-n", 9)
    code, out, err = vaegan(*words, "-o", "new/found.png")
    assert (code, err) == (0, "")
    assert "calibrated on 6 validation images" in out and "new/found.csv: 20 images\n" in out
    rows = read_table("new/found.csv")
    normal = open_data(Run(trained).config.data).validation
    model = load(trained)
    expected = compute_anomaly_scores(["pixels", "elbo"], model, pictures)
    held_out = compute_anomaly_scores(["pixels", "elbo"], model, normal[torch.arange(len(normal))])
    names = [f"pictures/known/{i}.png" for i in range(12)] + [f"pictures/noise/{i}.png" for i in range(8)]
    assert sorted(row["file"] for row in rows) == sorted(names)
    assert list(rows[0]) == ["file", "pixels", "pixels_p", "elbo", "elbo_p", "flagged", "anomalous"]
    truth, scores = [int(row["anomalous"]) for row in rows], [float(row["pixels"]) for row in rows]
    assert truth == [int("noise" in row["file"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    for name in ("pixels", "elbo"):
        p = fit_conformal_detector(held_out[name]).compute_p_values(expected[name])
        for row in rows:
            index = names.index(row["file"])
            assert float(row[name]) == pytest.approx(expected[name][index].item(), rel=1e-5)
            assert float(row[f"{name}_p"]) == p[index]
        assert f"{roc_auc_score(truth, [float(row[name]) for row in rows]):.3f} (" in out
        assert f"{average_precision_score(truth, [float(row[name]) for row in rows]):.3f} (" in out
    assert [row["flagged"] == "1" for row in rows] == [float(row["pixels_p"]) <= 0.2 for row in rows]
    with Image.open("new/found.png") as sheet:
        assert sheet.size == get_sheet_size(9, 8)
        most = names.index(rows[0]["file"])
        first = np.asarray(sheet)[12 : 12 + 96 : 12, 12 : 12 + 96 : 12]
        assert (first == pictures[most].permute(1, 2, 0).numpy()).all(), "the most anomalous image comes first"


def test_a_label_file_says_the_same_as_class_folders(trained, pictures, vaegan):
    lines = [f"pictures/{name}/{i}.png,{label}" for name, count, label in (("known", 12, "normal"), ("noise", 8, "1"))
             for i in range(count)]  # fmt: skip
    with open("labels.csv", "w", encoding="utf-8") as file:
        file.write("file,label\n" + "\n".join(lines) + "\n")
    outputs = [
        vaegan("anomaly", trained, "pictures", *RATE, *words, "-o", "a.png")
        for words in (("--anomalous", "noise"), ("--labels", "labels.csv"))
    ]
    assert outputs[0] == outputs[1] and outputs[0][0] == 0
    code, out, _ = vaegan("anomaly", trained, "pictures", *RATE, "-o", "a.png")
    assert code == 0 and "AUC" not in out and "of 20" in out, "without labels it is not known how good they are"
    assert "anomalous" not in read_table("a.csv")[0]


def test_all_scores_are_those_that_the_run_can_have(trained, pictures, vaegan):
    code, _, err = vaegan("anomaly", trained, "pictures/noise/0.png", "--score", "all", *RATE, "-o", "a.png")
    assert code == 0 and err.startswith("lpips: random features") and err.count("\n") == 1
    (row,) = read_table("a.csv")
    assert [name for name in row if not name.endswith("_p")] == [
        "file", "elbo", "iwae", "elbo_complexity", "pixels", "lpips_random", "code", "flagged"
    ]  # fmt: skip


def test_realness_needs_a_checkpoint(work, pictures, vaegan):
    code, _, err = vaegan("train", "tiny.yaml", "model.family=vaegan", "--output", "gan")
    assert code == 0, err
    words = ("anomaly", "gan", "pictures/noise/0.png", *RATE, "-o", "a.png", "--score")
    assert vaegan(*words, "pixels,realness")[0] == 0 and "realness" in read_table("a.csv")[0]
    shutil.rmtree("gan/checkpoints")
    assert vaegan(*words, "all")[0] == 0 and "realness" not in read_table("a.csv")[0]
    code, _, err = vaegan(*words, "realness")
    assert code == 2 and err.startswith("vaegan: --score realness: gan has no checkpoint with its discriminator; ")


def test_a_conditional_run_takes_the_class_folders(work, vaegan):
    config = load_config("tiny.yaml").data
    classes = open_data(config).classes
    words = ("train", "tiny.yaml", f"model.labels={len(classes)}", "--output", "conditional")
    assert vaegan(*words)[0] == 0
    (work / "set" / classes[1]).mkdir(parents=True)
    image = open_data(config).test[torch.arange(1)]
    Image.fromarray(image[0].permute(1, 2, 0).numpy()).save(f"set/{classes[1]}/a.png")
    assert vaegan("anomaly", "conditional", "set", "--score", "elbo", *RATE, "-o", "a.png")[0] == 0
    expected = compute_anomaly_scores(["elbo"], load("conditional"), image, labels=torch.tensor([1]))["elbo"]
    assert float(read_table("a.csv")[0]["elbo"]) == pytest.approx(expected.item(), rel=1e-6)


def test_the_images_of_the_run_are_opened_once(trained, pictures, vaegan, monkeypatch):
    opened = []

    def open_and_count(*arguments, **options):
        opened.append(arguments)
        return open_images(*arguments, **options)

    monkeypatch.setattr("vaegan.storage.run_data.open_images", open_and_count)
    code, _, err = vaegan("anomaly", trained, "pictures/noise/0.png", "--score", "code", *RATE, "-o", "a.png")
    assert (code, len(opened)) == (0, 1), err


WRONG = (
    ("--score elbow", "--score elbow: no such score; allowed: elbo, iwae"),
    ("--score features", "train one by `vaegan train-features`, and give --features"),
    ("--score realness", "has no discriminator; use a VAE-GAN, or pixels"),
    ("--false-alarms 0.05", "--false-alarms: a rate of false alarms of 0.05 needs 19 normal images, not 6"),
    ("--false-alarms 1.5", "--false-alarms 1.5: a rate lies between 0 and 1"),
    ("--anomalous nose", "--anomalous nose: no class folder of these images; there are known, noise"),
    ("--anomalous noise --labels x.csv", "give one of them"),
    ("--anomalous known,noise", "--anomalous: all images are anomalous"),
    ("--split trial", "trial"),
    ("--split train", "--split: 'train' is not one of 'validation', 'test'"),  # which are held out
    ("--score pixels,", "--score pixels,: a name is empty"),
    ("--score pixels,all", "all means every score, and stands alone"),
    ("--density gmm", "--density: needed by the score code alone"),
    ("--density gnn --score code", "gnn"),
    ("--features . --score features", ".: not a run folder"),
    ("--features .", "--features: needed by the score features alone"),
)
"""Options, and what is said of them."""


def test_what_is_wrong_is_one_line(trained, pictures, get_error):
    for words, expected in WRONG:
        rate = () if "--false-alarms" in words else RATE
        assert expected in get_error("anomaly", trained, "pictures", *words.split(), *rate, "-o", "a.png"), words


def test_names_of_files_may_hold_anything(trained, pictures, vaegan):
    os.rename("pictures/noise/0.png", "pictures/noise/two\nlines.png")
    code, out, err = vaegan("anomaly", trained, "pictures/noise/two\nlines.png", *RATE, "-o", "a.png")
    assert (code, err) == (0, "") and out.count("a.csv: 1 image\n") == 1
    assert read_table("a.csv")[0]["file"] == "pictures/noise/two\nlines.png"


def test_files_are_checked_before_work(trained, pictures, work, get_error):
    (work / "labels.csv").write_text("file,label\npictures/known/0.png,maybe\n")
    words = ("anomaly", trained, "pictures/known/0.png", *RATE)
    assert "has the label maybe; allowed: 0, normal, 1, anomalous" in get_error(*words, "--labels", "labels.csv")
    assert "is the file labels.csv itself" in get_error(*words, "--labels", "labels.csv", "-o", "labels.png")
    (work / "b.csv").mkdir()
    assert "the table beside the picture, is a folder" in get_error(*words, "-o", "b.png")
    os.mkfifo("c.csv")
    assert "the table beside the picture, is a pipe or a device" in get_error(*words, "-o", "c.png")
    assert "inside pictures" in get_error("anomaly", trained, "pictures", *RATE, "-o", "pictures/a.png")
