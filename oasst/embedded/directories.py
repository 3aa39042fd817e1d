"""Where the embedded servers of one OASST_HOME keep their data and sockets, and which user runs them.

An ordinary user keeps the data in `OASST_HOME/services`. PostgreSQL refuses to run as root. So root runs the servers
as a system user of their own, created at the first start, who may not be able to reach OASST_HOME. In that case
`OASST_HOME/services` is a link to a directory below /var/lib/oasst, and programs are copied there too. The modes of
directories that existed before are never changed.

A socket path must be shorter than 108 bytes, and OASST_HOME can be long. So sockets are kept in a short private
directory named by a hash of OASST_HOME and its password: an emptied home gets a new password, and never connects to
the servers of the old one.
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
# Not `nobody`, which other programs share. It must be an account, not only a uid: initdb looks up its own name.
SYSTEM_USER = "oasst"
_ADMIN_PROGRAMS = ":/usr/sbin:/sbin"  # not in everybody's PATH
_USER_OPTIONS = ("--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")


@dataclass(frozen=True)
class ServerDirectories:
    """What is needed to start the servers of a home. `uid` and `gid` are None if they run as the current user."""

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


def postgres_password(home: Path) -> str:
    """Return the database password of this home. It is created once, and only its owner can read it."""
    return _secret(home / "postgres-password")


def redis_password(home: Path) -> str:
    """Return the Redis password of this home; created if missing, as in homes of earlier versions."""
    return _secret(home / "redis-password")


def _secret(path: Path) -> str:
    try:
        if not path.exists():
            _make_secret(path)
        return path.read_text().strip()
    except PermissionError as error:
        raise ServiceError(f"{path} belongs to somebody else: run this as the owner of {path.parent}.") from error
    except OSError as error:
        raise ServiceError(f"OASST_HOME={path.parent} cannot be used: {error.strerror}.") from error


def _make_secret(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fresh.touch(mode=0o600)
    fresh.write_text(secrets.token_urlsafe(32))
    try:
        os.link(fresh, path)  # atomic: two processes that start at once use the same password
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def home_key(home: Path) -> str:
    return hashlib.sha256(f"{home.resolve()}\0{postgres_password(home)}".encode()).hexdigest()[:12]


def socket_directory(home: Path) -> Path:
    """Return the directory of the sockets, which `prepare_directories` creates."""
    if _is_run_by_root(home) and os.access("/run", os.W_OK):
        return ROOT_SOCKETS / home_key(home)
    return Path("/tmp") / f"oasst-{home_key(home)}"


def prepare_directories(home: Path) -> ServerDirectories:
    """Create the directories, private to the user who will run the servers."""
    home = home.resolve()
    socket_dir = socket_directory(home)
    uid, gid = (_owner_of_services(home) or _system_user()) if os.geteuid() == 0 else (None, None)
    dirs = ServerDirectories(home, home / "services", socket_dir, uid, gid)
    if _is_run_by_root(home):
        _link_services(dirs)
        _prepare_root_sockets(dirs)
    elif not dirs.data.exists():
        make_private_directory(dirs.data, dirs.owner)
    make_private_directory(socket_dir, dirs.owner)
    return ServerDirectories(home, dirs.data.resolve(), socket_dir, uid, gid)


def _is_run_by_root(home: Path) -> bool:
    """Return True if root starts the servers of this home, as the system user."""
    return os.geteuid() == 0 and _owner_of_services(home) is None


def _prepare_root_sockets(dirs: ServerDirectories) -> None:
    """Take over a directory that an earlier version made for another user: only root creates directories there."""
    if dirs.sockets.parent != ROOT_SOCKETS:
        return
    make_public_directory(ROOT_SOCKETS)
    if dirs.sockets.is_dir() and not dirs.sockets.is_symlink() and dirs.sockets.stat().st_uid != dirs.owner[0]:
        os.chown(dirs.sockets, *dirs.owner)


def find_former_owner(dirs: ServerDirectories) -> int | None:
    """As root: return the uid that owns the data but no longer runs the servers, as `nobody` in earlier versions."""
    if dirs.uid is None or not _is_run_by_root(dirs.home):
        return None
    for name in _DATA_DIRECTORIES:
        top = dirs.data / name
        if top.is_dir() and not top.is_symlink() and top.stat().st_uid != dirs.uid:
            return top.stat().st_uid
    return None


_DATA_DIRECTORIES = ("postgres", "postgres.new", "redis")


def change_owner(dirs: ServerDirectories, former: int) -> None:
    """Change the owner of files of the uid `former` to the user who runs the servers, which must be stopped.

    Symbolic links are not followed and files of other users stay theirs: `former` could have put them there.
    """
    for top in (dirs.sockets, *(dirs.data / name for name in _DATA_DIRECTORIES)):
        if not top.is_dir() or top.is_symlink():
            continue
        for _, folders, files, folder in os.fwalk(top, follow_symlinks=False):
            for name in (*folders, *files):
                _change_owner(name, former, dirs.owner, folder)
        # The top directory goes last, so that an interrupted start finds the former owner and begins again.
        _change_owner(str(top), former, dirs.owner)


def _change_owner(name: str, former: int, owner: tuple[int, int], folder: int | None = None) -> None:
    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_uid == former:
        os.chown(name, *owner, dir_fd=folder, follow_symlinks=False)


def _owner_of_services(home: Path) -> tuple[int, int] | None:
    """Return the ordinary user who owns `services` here; None if it is missing or a link that root made."""
    services = home / "services"
    if services.is_symlink() or not services.is_dir():
        return None
    status = services.stat()
    return status.st_uid, status.st_gid


def _system_user() -> tuple[int, int]:
    """Return uid and gid of the user of the servers that root starts, created if missing. Raise ServiceError."""
    if found := _account(SYSTEM_USER):
        return found
    make_public_directory(ROOT_DATA)
    with (ROOT_DATA / "user.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two first starts at once must not both create the user
        return _account(SYSTEM_USER) or _make_system_user()


def _account(name: str) -> tuple[int, int] | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    if entry.pw_uid == 0:
        raise ServiceError(f"The user {name} is root by another name, and PostgreSQL cannot run as root.")
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


def _link_services(dirs: ServerDirectories) -> None:
    """As root: make `services` a link to a directory below ROOT_DATA that no earlier home has used."""
    link = dirs.home / "services"
    make_public_directory(ROOT_DATA)
    if link.is_symlink():
        make_public_directory(link.readlink())
        return
    target = ROOT_DATA / home_key(dirs.home)
    make_public_directory(target)
    link.symlink_to(target)


def make_public_directory(path: Path) -> None:
    """Create a directory that other users may enter but not change."""
    try:
        path.mkdir()
    except FileExistsError:
        return
    path.chmod(0o755)


def make_private_directory(path: Path, owner: tuple[int, int]) -> None:
    """Create a directory for `owner` alone. Raise ServiceError if another user owns it and could listen there."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        uid = path.lstat().st_uid
        if path.is_symlink() or not path.is_dir() or uid != owner[0]:
            raise ServiceError(
                f"{path} should belong to uid {owner[0]} but belongs to uid {uid}. Remove it and start again."
            ) from None
        path.chmod(0o700)
        return
    if os.geteuid() == 0:
        os.chown(path, *owner)


def write_private_file(dirs: ServerDirectories, path: Path, text: str) -> None:
    """Write a file that only the user of the servers can read. It follows no link, because we may be root."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if dirs.uid is not None:
            os.fchown(descriptor, *dirs.owner)
        file.write(text)
