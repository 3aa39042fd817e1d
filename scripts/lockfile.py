"""What scripts/lock and scripts/lib-env ask about the lock files. Needs no packages.

requirements.txt and requirements-dev.txt name what we chose; the .lock beside each names all that comes with it, with
hashes, except torch, whose builds differ (scripts/lib-env).

    lockfile.py head FILE PYLOCK    the first lines of the lock of FILE; the sizes stand in PYLOCK
    lockfile.py check               says what is wrong with the locks; exits with 1 if anything is
    lockfile.py stamp FILE          changes whenever the packages of FILE or the interpreter do; fails as check does
"""

import hashlib
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-dev.txt")
BUILT_BY_OTHERS = "torch"
"""Stands in no lock: its builds for processors and for NVIDIA cards have one version and different files."""
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)(.*)")
INPUTS = re.compile(r"^# inputs: sha256:([0-9a-f]{64})$", re.M)
SIZE_OF = ("cp311", "x86_64")
"""The sizes are those of this Python on Linux; others differ by a tenth."""


def lock_of(name: str) -> Path:
    return ROOT / name.replace(".txt", ".lock")


def requirements_of(name: str) -> list[str]:
    """The lines of the file and of those it includes, without comments."""
    found = []
    for line in (ROOT / name).read_text().splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            found += requirements_of(line[3:].strip())
        elif line:
            found.append(line)
    return found


def inputs_digest(name: str) -> str:
    return hashlib.sha256("\n".join(sorted(requirements_of(name))).encode()).hexdigest()


def pins_of(lines: list[str]) -> dict[str, dict[str, bool]]:
    """Package → version → whether a hash follows. Some packages have other versions on other Pythons."""
    found: dict[str, dict[str, bool]] = {}
    for line in lines:
        if pin := PIN.match(line):
            name = re.sub(r"[-_.]+", "-", pin[1]).lower()
            found.setdefault(name, {})[pin[2]] = pin[3].endswith("\\")
    return found


def problems() -> list[str]:
    """In sentences, why the locks are not what the requirements ask for."""
    found = []
    locks = {name: lock_of(name).read_text() for name in FILES if lock_of(name).exists()}
    for name in FILES:
        lock = lock_of(name).name
        if name not in locks:
            found.append(f"{lock} is missing.")
            continue
        inputs = INPUTS.search(locks[name])
        if not inputs or inputs[1] != inputs_digest(name):
            found.append(f"{lock} was not made from {name} as it is now.")
        locked = pins_of(locks[name].splitlines())
        if BUILT_BY_OTHERS in locked:
            found.append(f"{lock} names {BUILT_BY_OTHERS}, whose builds differ.")
        found += [f"{lock} has no hash of {one}." for one, all_of in locked.items() if not all(all_of.values())]
        for wanted, versions in pins_of(requirements_of(name)).items():
            missing = versions.keys() - locked.get(wanted, {}).keys() if wanted != BUILT_BY_OTHERS else set()
            found += [f"{lock} has no {wanted}=={version}, which {name} asks for." for version in sorted(missing)]
    if len(locks) == len(FILES):
        run, dev = (pins_of(locks[name].splitlines()) for name in FILES)
        found += [f"{one} differs between the two locks." for one in run if run[one] != dev.get(one)]
    return found


def download_size(pylock: dict[str, Any]) -> int:
    """Bytes of one file of each package, as an installer would choose it."""
    return sum(_size(package) for package in pylock["packages"])


def _size(package: dict[str, Any]) -> int:
    wheels = [
        (wheel.get("name") or wheel["url"].rsplit("/", 1)[1], wheel["size"]) for wheel in package.get("wheels", [])
    ]
    sizes = [size for name, size in wheels if _fits(name)]
    return max(sizes) if sizes else int(package.get("sdist", {}).get("size", 0))


def _fits(wheel: str) -> bool:
    python, abi, platform = wheel.removesuffix(".whl").split("-")[-3:]
    version, machine = SIZE_OF
    here = platform == "any" or (machine in platform and "linux" in platform and "musl" not in platform)
    return here and (abi in ("none", "abi3") or version in python)


def head(name: str, pylock: Path) -> str:
    megabytes = round(download_size(tomllib.loads(pylock.read_text())) / 1e6)
    return (
        f"# All that {name} brings along, for Python 3.11 to 3.14, without {BUILT_BY_OTHERS} (scripts/lib-env).\n"
        "# Made by scripts/lock; an edit here is lost.\n"
        f"# inputs: sha256:{inputs_digest(name)}\n"
        f"# megabytes: {megabytes}\n"
    )


def stamp(name: str) -> str:
    torch = next(line for line in requirements_of(name) if line.startswith(f"{BUILT_BY_OTHERS}=="))
    return hashlib.sha256("\n".join([sys.version, torch, lock_of(name).read_text()]).encode()).hexdigest()


def main(command: str, *arguments: str) -> int:
    if command == "head":
        sys.stdout.write(head(arguments[0], Path(arguments[1])))
        return 0
    wrong = problems()
    for sentence in wrong:
        sys.stderr.write(f"{sentence}\n")
    if wrong:
        sys.stderr.write("scripts/lock makes both locks anew.\n")
    elif command == "stamp":
        sys.stdout.write(f"{stamp(arguments[0])}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
