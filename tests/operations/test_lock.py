"""The lock files match the requirements, and scripts/lock --check notices if they do not."""

import importlib.metadata
import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from tests.embedded.homes import ROOT


@pytest.fixture
def lockfile(tmp_path: Path) -> ModuleType:
    """The program on a copy of our files."""
    spec = importlib.util.spec_from_file_location("lockfile", ROOT / "scripts/lockfile.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in module.FILES:
        for path in (ROOT / name, module.lock_of(name)):
            (tmp_path / path.name).write_text(path.read_text())
    module.ROOT = tmp_path
    return module


def change(path: Path, pattern: str, by: str) -> None:
    text = path.read_text()
    changed = re.sub(pattern, by, text, count=1, flags=re.M)
    assert changed != text
    path.write_text(changed)


def test_ours_are_current() -> None:
    done = subprocess.run([ROOT / "scripts/lock", "--check"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "pattern", "by", "told"),
    [
        (
            "requirements.txt",
            r"^nh3==.*",
            "nh3==0.0.1",
            "requirements.lock has no nh3==0.0.1, which requirements.txt asks for.",
        ),
        (
            "requirements.txt",
            r"^nh3==.*\n",
            "",
            "requirements-dev.lock was not made from requirements-dev.txt as it is now.",
        ),
        (
            "requirements.txt",
            r"\Z",
            "new==1\n",
            "requirements-dev.lock has no new==1, which requirements-dev.txt asks for.",
        ),
        (
            "requirements.lock",
            r"^nh3==\S+ \\\n",
            "nh3==9 \\\n",
            "nh3 differs between requirements.lock and requirements-training.lock.",
        ),
        (
            "requirements.lock",
            r"^nh3==(\S+) \\\n(    --hash.*\n)+",
            r"nh3==\1\n",
            "requirements.lock has no hash of nh3.",
        ),
        (
            "requirements-training.lock",
            r"^trl==\S+ \\\n",
            "trl==9 \\\n",
            "trl differs between requirements-training.lock and requirements-dev.lock.",
        ),
        ("requirements-dev.lock", r"\Z", "torch==2.13.0\n", "requirements-dev.lock names torch, whose builds differ."),
    ],
)
def test_what_differs_is_named(
    lockfile: ModuleType, tmp_path: Path, file: str, pattern: str, by: str, told: str
) -> None:
    assert lockfile.problems() == []
    change(tmp_path / file, pattern, by)
    assert told in lockfile.problems()


def test_a_missing_lock_and_a_changed_comment(lockfile: ModuleType, tmp_path: Path) -> None:
    change(tmp_path / "requirements.txt", r"\A#.*", "# Other words.")
    assert lockfile.problems() == []
    before = lockfile.stamp("requirements.txt")
    change(tmp_path / "requirements.lock", r"--hash=sha256:.", "--hash=sha256:x")
    assert lockfile.stamp("requirements.txt") != before
    (tmp_path / "requirements.lock").unlink()
    assert lockfile.problems() == ["requirements.lock is missing."]


def test_the_size_is_that_of_one_file_of_each_package(lockfile: ModuleType) -> None:
    wheels = {
        "a-1-cp311-cp311-manylinux_2_28_x86_64.whl": 5,
        "a-1-cp312-cp312-manylinux_2_28_x86_64.whl": 70,
        "a-1-cp311-cp311-musllinux_1_2_x86_64.whl": 80,
        "a-1-cp311-cp311-macosx_11_0_arm64.whl": 90,
    }
    packages = [
        {"wheels": [{"url": f"https://files.example.org/{name}", "size": size} for name, size in wheels.items()]},
        {"wheels": [{"name": "b-1-py3-none-any.whl", "size": 1}], "sdist": {"size": 60}},
        {"sdist": {"size": 2}},
    ]
    assert lockfile.download_size({"packages": packages}) == 5 + 1 + 2


def test_what_torch_asks_for_stands_in_pyproject() -> None:
    """scripts/lock uses this metadata, because the file on PyPI requires CUDA."""
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["dependency-metadata"][0]
    assert f"torch=={said['version']}" in (ROOT / "requirements.txt").read_text().splitlines()
    asked = {
        one.partition(";")[0].strip() for one in importlib.metadata.requires("torch") or [] if "extra ==" not in one
    }
    of_cuda = {one for one in asked if re.match(r"nvidia-|cuda-|triton", one)}
    assert set(said["requires-dist"]) == asked - of_cuda
