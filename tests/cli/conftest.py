"""The command line in this process, and a tiny run to use it on."""

import signal
import sys

import pytest

from vaegan.cli.main import main

CONFIG = """# A run that takes a moment
model: {family: vae, network: mlp, width: 8, latent_size: 2}
data: {source: shapes, image_size: 8, channels: 3, count: 60}
train: {steps: 4, batch_size: 8, log_every: 2}
evaluate: {metrics: [psnr, elbo], batch_size: 8}
track: {wandb: disabled}
"""


@pytest.fixture
def vaegan(monkeypatch, capsys):
    """Runs `vaegan WORDS` in this process, and returns exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vaegan", *map(str, words)])
        code, handlers = 0, {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:  # a stopped command ignores further signals until its process ends, which this one does not
            for number, handler in handlers.items():
                signal.signal(number, handler)
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def get_error(vaegan):
    """Runs `vaegan WORDS`, which must fail with an exit code, and returns its one line of standard error."""

    def run(*words: object, code: int = 2) -> str:
        actual_code, out, err = vaegan(*words)
        assert (actual_code, out) == (code, ""), err
        assert err.startswith("vaegan: ") and err.count("\n") == 1, err
        return err.removeprefix("vaegan: ").rstrip()

    return run


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty working folder with the config of a tiny run."""
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained(work, vaegan):
    """A finished run, in `runs/tiny`."""
    assert vaegan("train", "tiny.yaml")[0] == 0
    return work / "runs" / "tiny"
