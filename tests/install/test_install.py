"""vaegan as it is installed: from a wheel and from an editable checkout, alone and beside Hugging Face's `evaluate`.

Everything is built from a copy of the checkout and installed without its dependencies into small virtual environments
that borrow the rest (torch, ...) from the environment of the tests.
"""

import base64
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "vaegan": "vaegan",
    "trainers": "vaegan/trainers",
    "evaluate": "vaegan/evaluate",
    "configs": "vaegan/configs",
}
FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")

PROBE = """
import importlib.util, json
import vaegan, vaegan.config
spec = importlib.util.find_spec
print(json.dumps({
    "vaegan": vaegan.__file__,
    "trainers": spec("vaegan.trainers").origin,
    "evaluate": list(spec("vaegan.evaluate").submodule_search_locations),
    "recipes": list(vaegan.config.list_recipes()),
    "other": spec("evaluate") and spec("evaluate").origin,
    "version": vaegan.__version__,
}))
"""


def run(*command: object, cwd: Path, path: str = "") -> str:
    """Run a command, which must succeed, without any `PYTHON...` variable, and return its standard output."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**clean, "PATH": path + os.pathsep + clean.get("PATH", "")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Environment:
    """A virtual environment without pip, which is run from outside."""

    root: Path

    @property
    def site(self) -> Path:
        """Its site-packages."""
        return Path(sysconfig.get_path("purelib", "posix_prefix", {"base": str(self.root)}))

    @property
    def bin(self) -> Path:
        """The folder of its commands."""
        return self.root / "bin"

    def pip(self, *words: object) -> None:
        """Run pip on it, with nothing but what is on this machine."""
        run(*PIP, "--python", self.bin / "python", *words, cwd=self.root)

    def install(self, *what: object) -> None:
        """Install exactly these files or folders."""
        self.pip("install", "--no-index", "--no-deps", "--no-build-isolation", *what)

    def call(self, *command: object, cwd: Path) -> str:
        """Run a command of the environment, and return its output."""
        return run(self.bin / str(command[0]), *command[1:], cwd=cwd, path=str(self.bin))

    def probe(self, cwd: Path) -> dict[str, object]:
        """Find out what Python imports from where, if it is started in a folder that is on `sys.path`."""
        return dict(json.loads(self.call("python", "-c", PROBE, cwd=cwd)))

    def files(self) -> set[str]:
        """List the files of its site-packages and the names of its commands."""
        inside = (path.relative_to(self.root) for top in (self.site, self.bin) for path in top.rglob("*"))
        return {str(path) for path in inside if "__pycache__" not in path.parts}


def copy_checkout(target: Path) -> Path:
    """Copy what an install reads, links as links, so that the checkout itself gets no build folders."""
    target.mkdir()
    for name in FILES:
        shutil.copy2(ROOT / name, target)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return target


def list_packed_files(checkout: Path) -> set[str]:
    """List the paths that the files of the four folders must have in a wheel."""
    return {
        f"{package}/{path.relative_to(checkout / folder).as_posix()}"
        for folder, package in FOLDERS.items()
        for path in (checkout / folder).rglob("*")
        if path.is_file()
        and not any(parent.is_symlink() for parent in path.parents)
        and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copy that wheels are built from."""
    return copy_checkout(tmp_path_factory.mktemp("build") / "checkout")


@pytest.fixture(scope="module")
def wheels(checkout: Path) -> dict[str, Path]:
    """The wheel built from a checkout, as by `pip install .`, and the one built from the source distribution."""
    built = {}
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", checkout, cwd=checkout.parent)
    (sdist,) = (checkout / "dist").glob("*.tar.gz")
    for name, source in (("checkout", checkout), ("sdist", sdist)):
        folder = checkout.parent / name
        run(*PIP, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "-w", folder, source, cwd=checkout.parent)
        (built[name],) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the real `evaluate`, from the package index."""
    folder = tmp_path_factory.mktemp("hugging-face")
    command = [*PIP, "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", str(folder), "evaluate"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"no package index to take Hugging Face's evaluate from: {done.stderr.strip().splitlines()[-1]}")
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def lent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Links to all that is installed beside the tests, save vaegan and any `evaluate`."""
    folder = tmp_path_factory.mktemp("lent")
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(site).iterdir():
            if not entry.name.startswith(("vaegan", "__editable__", "evaluate", "__pycache__")):
                (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture
def environment(tmp_path: Path, lent: Path) -> Environment:
    """A virtual environment with all but vaegan."""
    environment = Environment(tmp_path / "environment")
    venv.create(environment.root, symlinks=True)
    (environment.site / "lent.pth").write_text(f"{lent}\n", encoding="utf-8")
    return environment


@pytest.fixture(params=["wheel", "editable"])
def install(
    request: pytest.FixtureRequest, environment: Environment, wheels: Mapping[str, Path], tmp_path: Path
) -> tuple[Path, Path]:
    """A wheel or a checkout to install, and the folder that vaegan must then be imported from."""
    checkout = copy_checkout(tmp_path / "checkout")
    if request.param == "wheel":
        return wheels["checkout"], environment.site / "vaegan"
    return checkout, checkout / "vaegan"


def get_install_arguments(what: Path) -> list[object]:
    """Return the arguments that install a wheel, or a folder as an editable checkout."""
    return ["--editable", what] if what.is_dir() else [what]


@pytest.mark.parametrize("origin", ["checkout", "sdist"])
def test_wheel_is_the_four_folders_and_nothing_else(wheels: Mapping[str, Path], checkout: Path, origin: str) -> None:
    with zipfile.ZipFile(wheels[origin]) as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/" not in name]
        contents = {name: wheel.read(name) for name in names}
        (licence,) = (name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
        assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert len(names) == len(set(names))
    assert set(names) == list_packed_files(checkout)
    for name in ("vaegan/py.typed", "vaegan/configs/quickstart.yaml", "vaegan/configs/digits/vaegan3.yaml"):
        assert name in contents
    assert "vaegan/evaluate/__init__.py" not in contents
    for name, content in contents.items():
        assert content == (checkout / "vaegan" / Path(name).relative_to("vaegan")).read_bytes(), name


@pytest.mark.parametrize(
    "beside", [False, pytest.param(True, marks=pytest.mark.long)], ids=["alone", "beside-evaluate"]
)
def test_installed(
    install: tuple[Path, Path],
    environment: Environment,
    beside: bool,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    what, package = install
    if beside:
        environment.install(request.getfixturevalue("hugging_face"))
    before = environment.files()
    environment.install(*get_install_arguments(what))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    checkout = tmp_path / "checkout"

    for cwd in (elsewhere, checkout, Path("/")):
        assert "Usage: vaegan" in environment.call("vaegan", "--help", cwd=cwd)
        listed = environment.call("python", "-m", "vaegan", "configs", cwd=cwd)
        for name in ("quickstart", "digits/vae", "digits/vaegan3"):
            assert name in listed
        # Started in the checkout, `python -m` and `-c` see its folders first, whatever is installed.
        source = checkout / "vaegan" if cwd == checkout else package
        origins = environment.probe(cwd)
        assert origins["vaegan"] == str(source / "__init__.py")
        assert origins["trainers"] == str(source / "trainers" / "__init__.py")
        assert origins["evaluate"] == [str(source / "evaluate")]
        assert origins["recipes"] == sorted(
            path.relative_to(ROOT / "configs").with_suffix("").as_posix()
            for path in (ROOT / "configs").rglob("*.yaml")
            if path.parent.name != "sweeps"
        )
        assert origins["other"] == (str(environment.site / "evaluate" / "__init__.py") if beside else None)

    environment.pip("uninstall", "--yes", "vaegan")
    assert environment.files() == before
    if beside:
        check_unchanged(environment.site, "evaluate")


def test_evaluate_installed_and_removed_after_vaegan(
    install: tuple[Path, Path], environment: Environment, hugging_face: Path, tmp_path: Path
) -> None:
    what, package = install
    environment.install(*get_install_arguments(what))
    before = environment.files()
    environment.install(hugging_face)
    check_unchanged(environment.site, "evaluate")
    assert environment.probe(tmp_path)["evaluate"] == [str(package / "evaluate")]
    environment.pip("uninstall", "--yes", "evaluate")
    assert environment.files() == before
    environment.call("python", "-c", "import vaegan.trainers", cwd=tmp_path)


@pytest.mark.long
def test_version_is_written_once(install: tuple[Path, Path], environment: Environment, tmp_path: Path) -> None:
    what, _ = install
    environment.install(*get_install_arguments(what))
    metadata = environment.call(
        "python", "-c", "import importlib.metadata as m; print(m.version('vaegan'))", cwd=tmp_path
    )
    assert metadata.strip() == environment.probe(tmp_path)["version"]


def check_unchanged(site: Path, name: str) -> None:
    """Check that every file that a package installed is unchanged."""
    (record,) = site.glob(f"{name}-*.dist-info/RECORD")
    checked = 0
    with record.open(newline="", encoding="utf-8") as rows:
        for path, digest, _ in csv.reader(rows):
            if digest:
                algorithm, _, expected = digest.partition("=")
                digest = hashlib.new(algorithm, (site / path).read_bytes()).digest()
                assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == expected, path
                checked += 1
    assert checked > 10
