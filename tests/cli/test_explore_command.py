"""The command `explore`: what it refuses, what it says, and the page that it writes."""

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from .explored_runs import write_runs

gradio = pytest.importorskip("gradio")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("explore"))


def test_what_cannot_be_explored_is_refused_in_one_line(folder: Path, get_error, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    assert get_error("explore", "one", "one", "two") == "3 runs: the page holds at most 2; name fewer"
    assert get_error("explore", "one", "--direction", "image.png").startswith("image.png: not a file of directions")
    assert "directions of the codes of another model" in get_error("explore", "two", "--direction", "three.safetensors")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert get_error("explore", "one", "--port", port).startswith(f"--port {port}: cannot listen at 127.0.0.1 (")
    assert get_error("explore", "one", "--host", "256.1.1.1").startswith("--host 256.1.1.1: ")
    for option in (["--density", "gaussian"], ["--port", 1], ["--direction", "three.safetensors"]):
        error = get_error("explore", "one", "--export", "page.html", *option)
        assert error == f"{option[0]}: of the page that is served; leave it out with --export"
    assert get_error("explore", "one", "two", "--export", "p.html") == "--export: a page of one run; leave RUN2 out"
    assert get_error("explore", "one", "--export", "p.png") == "--export p.png: not a page; let it end in .html"
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert get_error("explore", "one") == "gradio is not installed; pip install 'vaegan[explore]'"


def test_another_host_is_warned_of_and_runs_of_one_name_are_told_apart(folder: Path, vaegan, monkeypatch) -> None:
    served: list[Any] = []
    monkeypatch.chdir(folder)
    monkeypatch.setattr("vaegan.explorer.serving.serve", lambda app, listener: served.append(app))
    monkeypatch.setattr("vaegan.explorer.page.build_page", lambda view: served.append(view) or gradio.Blocks())
    for name, value in {**os.environ}.items():
        monkeypatch.setenv(name, value)  # what the command sets is taken back
    code, out, err = vaegan("explore", "one", folder / "one", "--host", "0.0.0.0", "--port", 0)
    assert code == 0 and out.startswith("http://0.0.0.0:") and len(served) == 2
    assert err == "--host 0.0.0.0: whoever can reach this machine can open the page, without a password\n"
    assert [run.name for run in served[0].runs] == ["one", str(folder / "one")]


def test_a_page_is_written_with_its_size_and_without_gradio(folder: Path, vaegan, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, out, err = vaegan("explore", "one", "--export", "pages/one.html", "--dimensions", 2)
    assert code == 0, err
    page = Path("pages/one.html").read_text()
    size = Path("pages/one.html").stat().st_size
    assert out == f"pages/one.html: {size / 1e6:.2f} MB; open it in a browser, no server is needed\n"
    assert page.count('"z') == 2 and "<title>one</title>" in page and "://" not in page
