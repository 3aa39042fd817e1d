"""scripts/lib-env on a fresh machine: which torch it installs from where, what it prints, what it downloads again.

The indexes are on loopback, and their wheels have a few bytes: `torch` as on PyTorch's own index and as on PyPI, the
libraries of the build with CUDA, and one locked package.
"""

import base64
import hashlib
import io
import os
import shutil
import stat
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pip
import pytest

from tests.embedded.homes import ROOT

pytestmark = pytest.mark.slow
TAG = "py3-none-any"
REQUIREMENTS = ("requirements.txt", "requirements-training.txt", "requirements-dev.txt")
NOBODY = "http://127.0.0.1:9/cpu"
"""A port where nothing listens."""


def wheel(name: str, version: str, *needs: str) -> tuple[str, bytes]:
    """Return the file name and content of an empty package."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": "\n".join(
            [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {one}" for one in needs)]
        ),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {TAG}",
    }
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}"
        for path, text in files.items()
    ]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for path, text in files.items():
            file.writestr(path, text)
        file.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,"]))
    return f"{name}-{version}-{TAG}.whl", content.getvalue()


TINY = wheel("tiny", "1.0")
INDEXES = {
    "cpu/torch": [wheel("torch", "2.13.0+cpu"), wheel("torch", "2.14.1+cpu")],
    "pypi/torch": [wheel("torch", "2.13.0", "cuda-libraries==13.0"), wheel("torch", "2.14.1")],
    "pypi/cuda-libraries": [wheel("cuda_libraries", "13.0")],
    "pypi/tiny": [TINY],
}


class Indexes(BaseHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        page, _, file = unquote(self.path).strip("/").rpartition("/")
        found = dict(INDEXES.get(page, []))
        if file in found:
            return self._answer(found[file], "application/octet-stream")
        links = INDEXES.get(self.path.strip("/"))
        if links is None:
            return self.send_error(404)
        html = "".join(f'<a href="/{self.path.strip("/")}/{name.replace("+", "%2B")}">{name}</a>' for name, _ in links)
        return self._answer(f"<!DOCTYPE html><html><body>{html}</body></html>".encode(), "text/html")

    def _answer(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Indexes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def bare_venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv with only the pip of these tests, because installing one takes seconds."""
    path = tmp_path_factory.mktemp("venv") / "bare"
    venv.create(path, symlinks=True)
    folder = next(path.glob("lib/python*/site-packages"))
    shutil.copytree(Path(pip.__file__).parent, folder / "pip")
    shutil.copytree(Path(pip.__file__).parent.parent / f"pip-{pip.__version__}.dist-info", folder / "pip.dist-info")
    return path


class Machine:
    """A clone with a bare .venv, and the programs that this machine has besides those of the system."""

    def __init__(self, path: Path, port: int, bare_venv: Path) -> None:
        self.root, self.port, self.programs = path / "clone", port, path / "programs"
        self.programs.mkdir(parents=True)
        shutil.copytree(bare_venv, self.root / ".venv", symlinks=True)
        (self.root / "scripts").mkdir()
        for name in ("lib-env", "lockfile.py"):
            shutil.copy(ROOT / "scripts" / name, self.root / "scripts" / name)
        for name in REQUIREMENTS:
            (self.root / name).write_text("torch==2.13.0\ntiny==1.0  # small\n")
        self.lock(hashlib.sha256(TINY[1]).hexdigest())

    def lock(self, digest: str) -> None:
        for name in REQUIREMENTS:
            asked = f'import sys; sys.path.append("scripts"); import lockfile; print(lockfile.inputs_digest("{name}"))'
            inputs = subprocess.check_output([sys.executable, "-c", asked], cwd=self.root, text=True).strip()
            (self.root / name.replace(".txt", ".lock")).write_text(
                f"# inputs: sha256:{inputs}\n# megabytes: 7\ntiny==1.0 \\\n    --hash=sha256:{digest}\n"
            )

    def has(self, program: str, does: str) -> None:
        path = self.programs / program
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def prepare(self, kind: str = "run", *, cpu_index: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        Indexes.asked.clear()
        home = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "TORCH"))}
        return subprocess.run(
            ["sh", "-euc", f'root="{self.root}"; . "$root/scripts/lib-env"; environment {kind}; echo "$python"'],
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            env=home
            | {
                "PATH": f"{self.programs}:/usr/bin:/bin",
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_NO_CACHE_DIR": "1",
                "PIP_INDEX_URL": f"http://127.0.0.1:{self.port}/pypi/",
                "TORCH_INDEX": cpu_index or f"http://127.0.0.1:{self.port}/cpu/",
            }
            | variables,
        )

    def installed(self) -> set[str]:
        folder = next(self.root.glob(".venv/lib/python*/site-packages"))
        found = {path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info")}
        return found - {"pip"}

    @property
    def is_ready(self) -> bool:
        return (self.root / ".venv/.installed-run").exists()

    def ready_for(self) -> set[str]:
        return {path.name.removeprefix(".installed-") for path in (self.root / ".venv").glob(".installed-*")}


@pytest.fixture
def machine(tmp_path: Path, port: int, bare_venv: Path) -> Machine:
    return Machine(tmp_path, port, bare_venv)


without_card = pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has an NVIDIA card")


@without_card
class TestWithoutACard:
    def test_the_build_for_cpus_comes_from_pytorchs_index(self, machine: Machine) -> None:
        machine.has("nvidia-smi", 'echo "NVIDIA-SMI has failed because it could not talk to the driver"; exit 9')
        done = machine.prepare()
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{machine.root}/.venv/bin/python\n"
        assert machine.installed() == {"torch-2.13.0+cpu", "tiny-1.0"}
        assert "about 7 MB to download" in done.stderr
        assert "unpacking, which takes a minute or two" in done.stderr
        assert done.stderr.endswith("The packages are installed.\n")
        assert "torch 2.13.0 for CPUs: about 190 MB. For an NVIDIA card: TORCH=cuda, about 2.7 GB." in done.stderr

        again = machine.prepare(cpu_index=NOBODY)
        assert (again.returncode, again.stderr, Indexes.asked) == (0, "", []), "the second start asks nobody"

    def test_where_the_index_cannot_be_reached_the_other_build_comes_and_it_says_so(self, machine: Machine) -> None:
        done = machine.prepare(cpu_index=NOBODY)
        assert done.returncode == 0, done.stderr
        assert machine.installed() == {"torch-2.13.0", "cuda_libraries-13.0", "tiny-1.0"}
        assert f"The small build of torch for CPUs cannot be had: {NOBODY} does not answer" in done.stderr
        assert "with CUDA: about 2.7 GB" in done.stderr

    def test_a_folder_that_pip_knows_comes_before_all(self, machine: Machine, tmp_path: Path) -> None:
        name, content = INDEXES["cpu/torch"][0]
        (tmp_path / "wheels").mkdir()
        (tmp_path / "wheels" / name).write_bytes(content)
        done = machine.prepare(cpu_index=NOBODY, PIP_FIND_LINKS=str(tmp_path / "wheels"))
        assert done.returncode == 0, done.stderr
        assert machine.installed() == {"torch-2.13.0+cpu", "tiny-1.0"}
        assert "cannot be had" not in done.stderr


class TestWithACard:
    def test_the_build_for_cards_and_back(self, machine: Machine) -> None:
        machine.has("nvidia-smi", 'echo "GPU 0: NVIDIA H200 (UUID: GPU-1)"')
        done = machine.prepare()
        assert done.returncode == 0, done.stderr
        assert machine.installed() == {"torch-2.13.0", "cuda_libraries-13.0", "tiny-1.0"}
        assert "torch 2.13.0 for NVIDIA cards: about 2.7 GB. For CPUs only: TORCH=cpu, about 190 MB." in done.stderr

        away = machine.prepare(TORCH="cpu", cpu_index=NOBODY)
        assert away.returncode == 0 and "torch-2.13.0" in machine.installed(), "nothing large comes twice"
        assert "What is installed, torch 2.13.0, stays." in away.stderr
        smaller = machine.prepare(TORCH="cpu")
        assert smaller.returncode == 0 and "torch-2.13.0+cpu" in machine.installed(), smaller.stderr
        assert machine.prepare().stderr == "", "what was asked for once stays"

    def test_a_build_that_nobody_makes(self, machine: Machine) -> None:
        for system, build, why in (
            ("Linux", "gpu", "TORCH is cpu or cuda, and not 'gpu'."),
            ("Darwin", "cuda", "There is no torch with CUDA for this system; leave out TORCH=cuda."),
        ):
            machine.has("uname", f"echo {system}")
            said = machine.prepare(TORCH=build)
            assert (said.returncode, said.stderr.splitlines()[-1], Indexes.asked) == (1, why, [])


class TestKinds:
    """What trains has all that runs the site, and what develops has both."""

    def test_what_is_installed_for_one_is_there_for_those_that_need_less(self, machine: Machine) -> None:
        assert machine.prepare("train", TORCH="cpu").returncode == 0
        assert machine.ready_for() == {"run", "train"}
        assert machine.prepare("run").stderr == "", "it has nothing to do"
        done = machine.prepare("dev")
        assert done.returncode == 0 and done.stderr.endswith("The packages are installed.\n"), done.stderr
        assert machine.ready_for() == {"run", "train", "dev"}


class TestLocked:
    def test_another_file_under_the_name_is_refused(self, machine: Machine) -> None:
        machine.lock("0" * 64)
        done = machine.prepare(TORCH="cuda")
        assert done.returncode == 1
        assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
        assert done.stderr.endswith("pip says why above. Running this again goes on from here.\n")
        assert machine.installed() == {"torch-2.13.0"} and not machine.is_ready

        machine.lock(hashlib.sha256(TINY[1]).hexdigest())
        assert machine.prepare().returncode == 0, "it goes on from there"
        assert machine.installed() == {"torch-2.13.0", "cuda_libraries-13.0", "tiny-1.0"}

    def test_a_lock_of_other_requirements_is_refused_before_anything(self, machine: Machine) -> None:
        with (machine.root / "requirements.txt").open("a") as file:
            file.write("other==2\n")
        done = machine.prepare()
        assert done.returncode == 1
        assert "requirements.lock has no other==2, which requirements.txt asks for." in done.stderr
        assert "scripts/lock makes the locks anew." in done.stderr
        assert Indexes.asked == [] and machine.installed() == set()

    def test_uv_installs_where_it_is_there_and_pip_where_it_cannot(self, machine: Machine, tmp_path: Path) -> None:
        told = tmp_path / "told"
        machine.has("uv", f'echo "$*" >>{told}')
        assert machine.prepare(TORCH="cpu").returncode == 0
        assert told.read_text().startswith(f"pip install --python {machine.root}/.venv/bin/python --no-deps --require-")
        assert machine.installed() == {"torch-2.13.0+cpu"}, "the stand-in installs nothing"

        (machine.root / ".venv/.installed-run").unlink()
        machine.has("uv", "exit 2")
        done = machine.prepare()
        assert done.returncode == 0 and "uv could not install them" in done.stderr
        assert machine.installed() == {"torch-2.13.0+cpu", "tiny-1.0"}
