"""Label files: every label belongs to its image, and what is wrong is said with its line."""

from pathlib import Path

import pytest

from vaegan.applications.label_files import label_paths, read_label_file
from vaegan.errors import UserError


def test_labels_are_those_of_the_lines_whatever_the_order_of_columns(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text('\ufefflabel, file ,note\n smiling ,"a,1.png",x\nneutral,./b/2.png,\n\n', encoding="utf-8")
    assert read_label_file(file) == {"a,1.png": "smiling", "b/2.png": "neutral"}


def test_a_line_ends_where_csv_ends_it(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes('file,label\r\n"a.png","two\nlines"\r\nb\u2028\x0c.png,1\rc.png,2'.encode())
    assert read_label_file(file) == {"a.png": "two\nlines", "b\u2028\x0c.png": "1", "c.png": "2"}


def test_paths_are_labelled_through_links_from_the_folder_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "link").symlink_to("set")
    file = tmp_path / "set" / "labels.csv"
    file.write_text(f"file,label\na.png,0\n{tmp_path}/b.png,1\nunused.png,2\n")
    monkeypatch.chdir(tmp_path)
    assert label_paths([Path("b.png"), Path("link/a.png"), Path("set/a.png")], file) == ["1", "0", "0"]
    with pytest.raises(UserError, match=r"labels\.csv: no label of c\.png and 1 others; add a line"):
        label_paths([Path("set/a.png"), Path("c.png"), Path("d.png")], file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not one column 'file'; let its first line be file,label"),
        ("file,class\na,1\n", "not one column 'label'"),
        ("file,label,label\na,1,2\n", "not one column 'label'"),
        ("file,label\n", "no image in it; give one line"),
        ("file,label\na,1\nb\n", "line 3: no label; give both, or leave the line out"),
        ("file,label\n,1\n", "line 2: no file; give both"),
        ("file,label\na,1\nb,1\n./a,2\n", "line 4: a has a label since line 2; leave one of them out"),
        ('file,label\n"a,1\n', r"unexpected end of data; mend"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        read_label_file(file)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(UserError, match=r"a\.png: not UTF-8 text; save it as a CSV file in UTF-8"):
        read_label_file(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"missing\.csv: no CSV file of labels"):
        read_label_file(tmp_path / "missing.csv")
