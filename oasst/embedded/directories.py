"""Where the embedded servers of one OASST_HOME keep their data and their sockets, and which user runs them.

An ordinary user keeps the data in `OASST_HOME/services`. PostgreSQL refuses to run as root, so as root the
servers run as a system user of their own, made at the first start, who may not be able to reach OASST_HOME at
all: then `OASST_HOME/services` is a link to a directory below /var/lib/oasst, and programs are copied there
too. No mode of a directory that was there before is ever changed.

A socket path must be shorter than 108 bytes and OASST_HOME can be long, so sockets lie in a short private
directory named by a hash of OASST_HOME and its password: an emptied home gets a new password, and never
meets the servers of the old one.
"""

import fcntl
import grp
import hashlib
import os
import pwd
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from oasst.embedded.errors import ServiceError

ROOT_DATA = Path("/var/lib/oasst")
ROOT_SOCKETS = Path("/run/oasst")
# Shared with nothing else, as `nobody` is. An account is needed, not only a number: initdb looks its own name up.
SYSTEM_USER = "oasst"
_ADMIN_PROGRAMS = ":/usr/sbin:/sbin"  # not in everybody's PATH
_USER_OPTIONS = ("--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")


@dataclass(frozen=True)
class Place:
    """Everything that starting a server of this home has to know. uid is None where we run as ourselves."""

    home: Path
    data: Path
    sockets: Path
    uid: int | None
    gid: int | None

    @property
    def owner(self) -> tuple[int, int]:
        return (
            os.geteuid() if self.uid is None else self.uid,
            os.getegid() if self.gid is None else self.gid,
        )


def password(home: Path) -> str:
    """The database password of this home: made once, readable by its owner alone."""
    return _secret(home / "postgres-password")


def redis_password(home: Path) -> str:
    """The same for Redis. A home of an earlier version has none yet, and gets one."""
    return _secret(home / "redis-password")


def _secret(path: Path) -> str:
    try:
        if not path.exists():
            _make_secret(path)
        return path.read_text().strip()
    except PermissionError as error:
        raise ServiceError(f"{path} belongs to somebody else: run this as the owner of {path.parent}.") from error
    except OSError as error:
        raise ServiceError(f"OASST_HOME={path.parent} can not be used: {error.strerror}.") from error


def _make_secret(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fresh.touch(mode=0o600)
    fresh.write_text(secrets.token_urlsafe(32))
    try:
        os.link(fresh, path)  # atomic: of two processes that start at once, one password wins for both
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def key(home: Path) -> str:
    return hashlib.sha256(f"{home.resolve()}\0{password(home)}".encode()).hexdigest()[:12]


def sockets(home: Path) -> Path:
    """The directory of the sockets. Only names it; `prepare` makes it."""
    if _is_roots(home) and os.access("/run", os.W_OK):
        return ROOT_SOCKETS / key(home)
    return Path("/tmp") / f"oasst-{key(home)}"


def prepare(home: Path) -> Place:
    """Make the directories, private to the user who will run the servers."""
    home = home.resolve()
    where = sockets(home)
    uid, gid = (_owner_of_services(home) or _system_user()) if os.geteuid() == 0 else (None, None)
    place = Place(home, home / "services", where, uid, gid)
    if _is_roots(home):
        _link_services(place)
        _prepare_root_sockets(place)
    elif not place.data.exists():
        private_directory(place.data, place.owner)
    private_directory(where, place.owner)
    return Place(home, place.data.resolve(), where, uid, gid)


def _is_roots(home: Path) -> bool:
    """Whether root keeps the data of this home, for the system user."""
    return os.geteuid() == 0 and _owner_of_services(home) is None


def _prepare_root_sockets(place: Place) -> None:
    """One that an earlier version made for another user is ours: nobody but root makes directories there."""
    if place.sockets.parent != ROOT_SOCKETS:
        return
    public_directory(ROOT_SOCKETS)
    if place.sockets.is_dir() and not place.sockets.is_symlink() and place.sockets.stat().st_uid != place.owner[0]:
        os.chown(place.sockets, *place.owner)


def former_owner(place: Place) -> int | None:
    """As root: the uid of the user who owns the data here and does not run the servers any more, as `nobody` did in
    earlier versions.
    """
    if place.uid is None or not _is_roots(place.home):
        return None
    for name in _DATA:
        top = place.data / name
        if top.is_dir() and not top.is_symlink() and top.stat().st_uid != place.uid:
            return top.stat().st_uid
    return None


_DATA = ("postgres", "postgres.new", "redis")


def take_over(place: Place, former: int) -> None:
    """Give what belongs to the uid `former` to the user of this place. Its servers may not run any more.

    Links are not followed, and what belongs to others stays theirs: `former` could have put them there.
    """
    for top in (place.sockets, *(place.data / name for name in _DATA)):
        if not top.is_dir() or top.is_symlink():
            continue
        for _, folders, files, here in os.fwalk(top, follow_symlinks=False):
            for name in (*folders, *files):
                _hand_over(name, former, place.owner, here)
        # The top of all goes last: a start that is interrupted finds it as it was, and begins again.
        _hand_over(str(top), former, place.owner)


def _hand_over(name: str, former: int, owner: tuple[int, int], here: int | None = None) -> None:
    if os.stat(name, dir_fd=here, follow_symlinks=False).st_uid == former:
        os.chown(name, *owner, dir_fd=here, follow_symlinks=False)


def _owner_of_services(home: Path) -> tuple[int, int] | None:
    """The ordinary user who made `services` here; None where nobody did or root keeps its data elsewhere."""
    services = home / "services"
    if services.is_symlink() or not services.is_dir():
        return None
    made = services.stat()
    return made.st_uid, made.st_gid


def _system_user() -> tuple[int, int]:
    """The user of the servers that root starts, made where there is none yet. Raises ServiceError."""
    if found := _account(SYSTEM_USER):
        return found
    public_directory(ROOT_DATA)
    with (ROOT_DATA / "user.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two first starts one makes it and the other finds it
        return _account(SYSTEM_USER) or _make_system_user()


def _account(name: str) -> tuple[int, int] | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    if entry.pw_uid == 0:
        raise ServiceError(f"The user {name} is root by another name, and PostgreSQL can not run as root.")
    return entry.pw_uid, entry.pw_gid


def _make_system_user() -> tuple[int, int]:
    program = shutil.which("useradd", path=f"{os.environ.get('PATH', os.defpath)}{_ADMIN_PROGRAMS}")
    if program is None:
        raise ServiceError(_no_user("there is no program useradd to make it"))
    group = ("--gid", SYSTEM_USER) if _group_exists(SYSTEM_USER) else ("--user-group",)
    done = subprocess.run([program, *_USER_OPTIONS, *group, SYSTEM_USER], capture_output=True, text=True, check=False)
    found = _account(SYSTEM_USER)
    if found is None:
        raise ServiceError(_no_user(f"useradd did not make it: {(done.stderr or done.stdout).strip()}"))
    return found


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _no_user(why: str) -> str:
    return (
        f"Started by root, PostgreSQL and Redis run as a system user of their own, {SYSTEM_USER!r}, and {why}. "
        f"Make that user (`useradd --system {SYSTEM_USER}`, or `adduser -S -D -H {SYSTEM_USER}`) or start the site as "
        "an ordinary user."
    )


def _link_services(place: Place) -> None:
    """As root: `services` becomes a link to a fresh directory, whose name an earlier home may not have
    used.
    """
    link = place.home / "services"
    if link.is_symlink():
        public_directory(ROOT_DATA)
        public_directory(link.readlink())
        return
    public_directory(ROOT_DATA)
    target = ROOT_DATA / key(place.home)
    public_directory(target)
    link.symlink_to(target)


def public_directory(path: Path) -> None:
    """A directory of ours that other users may pass through but not change."""
    try:
        path.mkdir()
    except FileExistsError:
        return
    path.chmod(0o755)


def private_directory(path: Path, owner: tuple[int, int]) -> None:
    """A directory for `owner` alone.

    One that somebody else made first is refused: they could listen in our place.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if path.is_symlink() or not path.is_dir() or found.st_uid != owner[0]:
            raise ServiceError(
                f"{path} should belong to uid {owner[0]} but belongs to uid {found.st_uid}. Remove it and start again."
            ) from None
        path.chmod(0o700)
        return
    if os.geteuid() == 0:
        os.chown(path, *owner)


def write_for_owner(place: Place, path: Path, text: str) -> None:
    """A file that only the user of the servers can read. As root we follow no link there."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if place.uid is not None:
            os.fchown(descriptor, *place.owner)
        file.write(text)
