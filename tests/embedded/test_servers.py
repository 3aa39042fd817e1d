"""Real embedded servers: first start, crash, leftovers, concurrent starts."""

import os
import pwd
import signal
import stat
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, ResponseError

from oasst.embedded import directories, postgres, processes, redis
from oasst.embedded.errors import ServiceError
from oasst.embedded.servers import EmbeddedServers
from tests.embedded.homes import connected, home, postmaster, python

__all__ = ["home"]
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_servers_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)


def running(path: Path) -> tuple[bool, bool]:
    dirs = directories.prepare_directories(path)
    return postgres.answers(dirs), redis.answers(dirs)


def test_starts_keeps_rows_and_stops_with_its_last_user(home: Path) -> None:
    with EmbeddedServers(home):
        assert running(home) == (True, True)
        with connected(home) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (42)")
        first = postmaster(home)
        with EmbeddedServers(home):
            assert postmaster(home) == first
        assert running(home) == (True, True), "the inner user must not stop what the outer one uses"
    assert running(home) == (False, False)
    with EmbeddedServers(home), connected(home) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(42,)]


def test_server_is_private_and_safe(home: Path) -> None:
    with EmbeddedServers(home), connected(home) as connection:
        for name, value in {
            "listen_addresses": "",
            "fsync": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "max_connections": str(postgres.MAX_CONNECTIONS),
            "is_superuser": "off",
        }.items():
            assert connection.execute(f"SHOW {name}").fetchone() == (value,), name
        locale = connection.execute(
            "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = current_database()"
        )
        assert locale.fetchone() == ("b", "C.UTF-8")
        assert stat.S_IMODE((home / "postgres-password").stat().st_mode) == 0o600
        sockets = directories.socket_directory(home).stat()
        assert stat.S_IMODE(sockets.st_mode) == 0o700
        assert sockets.st_uid == directories.prepare_directories(home).owner[0]
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(
                host=str(directories.socket_directory(home)), user="oasst", dbname="oasst", password="guessed"
            )


def test_redis_asks_for_its_password_and_shows_it_nowhere(home: Path) -> None:
    with EmbeddedServers(home):
        dirs = directories.prepare_directories(home)
        secret = directories.redis_password(home)
        with client_of(redis.url(home)) as client:
            assert client.ping()
            for taken_away in ("CONFIG GET dir", "MODULE LIST", "DEBUG SLEEP 0", "REPLICAOF NO ONE"):
                with pytest.raises(ResponseError, match="unknown command"):
                    client.execute_command(*taken_away.split())
        with client_of(redis.url(home).replace(secret, "guessed")) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        with client_of(f"unix://{redis.socket_path(home)}") as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        (pid,) = processes.find_processes(redis.data(dirs), "redis-server")
        for what in ("cmdline", "environ"):
            assert secret.encode() not in Path(f"/proc/{pid}/{what}").read_bytes()
        assert secret not in redis.log(dirs).read_text()
        config = (dirs.data / "redis.conf").stat()
        assert (stat.S_IMODE(config.st_mode), config.st_uid) == (0o600, dirs.owner[0])
        socket = redis.socket_path(home).stat()
        assert (stat.S_IMODE(socket.st_mode), socket.st_uid) == (0o700, dirs.owner[0])


def client_of(url: str) -> "Redis":
    return Redis.from_url(url, retry=None)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the servers itself")
def test_started_by_root_they_run_as_a_user_of_their_own(home: Path) -> None:
    oasst = pwd.getpwnam(directories.SYSTEM_USER) if directories._system_user() else None
    assert oasst is not None and oasst.pw_shell.endswith("nologin")
    with EmbeddedServers(home):
        dirs = directories.prepare_directories(home)
        (redis_server,) = processes.find_processes(redis.data(dirs), "redis-server")
        for pid in (postmaster(home), redis_server):
            assert Path(f"/proc/{pid}").stat().st_uid == oasst.pw_uid


def test_servers_of_an_earlier_version_are_taken_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In earlier versions Redis had no password, and as root both ran as `nobody`. They still run after the update."""
    as_root = os.geteuid() == 0
    with monkeypatch.context() as earlier:
        if as_root:
            earlier.setattr(directories, "SYSTEM_USER", "nobody")
        servers = EmbeddedServers(home)
        servers.__enter__()
    with connected(home) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    dirs = directories.prepare_directories(home)
    (home / "redis-password").unlink()  # the running server does not know the new one
    if as_root:
        former = pwd.getpwnam("nobody").pw_uid
        assert Path(f"/proc/{postmaster(home)}").stat().st_uid == former != dirs.owner[0]
    with EmbeddedServers(home, owner=True), connected(home) as connection:
        assert running(home) == (True, True)
        assert connection.execute("SELECT n FROM kept").fetchall() == [(42,)]
        data = postgres.data(dirs)
        for path in (
            data,
            data / "PG_VERSION",
            redis.data(dirs),
            directories.socket_directory(home),
            redis.socket_path(home),
        ):
            assert path.stat().st_uid == dirs.owner[0]
        assert Path(f"/proc/{postmaster(home)}").stat().st_uid == dirs.owner[0]
    servers.__exit__(None, None, None)


def test_logs_are_for_their_owner_alone(home: Path) -> None:
    """An error may quote a value; as root, they are in a directory that all users may enter."""
    with EmbeddedServers(home):
        dirs = directories.prepare_directories(home)
        for log in (postgres.log(dirs), redis.log(dirs)):
            assert log.stat().st_mode & 0o777 == 0o600


def test_a_crash_of_redis_writes_no_memory_into_its_log(home: Path) -> None:
    with EmbeddedServers(home):
        dirs = directories.prepare_directories(home)
        with client_of(redis.url(home)) as client:
            client.execute_command("CLIENT", "SETNAME", "s3cr3tV4lue")
            (pid,) = processes.find_processes(redis.data(dirs), "redis-server")
            processes.send([pid], signal.SIGSEGV)
            assert processes.wait_until(lambda: not processes.find_processes(redis.data(dirs), "redis-server"), 60)
        assert "s3cr3tV4lue" not in redis.log(dirs).read_text()


def test_extensions_are_in_every_new_database(home: Path) -> None:
    """The site's role may not add pgvector itself, and a migration asks for it."""
    with EmbeddedServers(home), connected(home) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        assert connection.execute("SELECT '[1,2]'::vector <-> '[1,3]'::vector").fetchone() == (1.0,)


@pytest.mark.parametrize("victims", ["postmaster", "everybody"])
def test_starts_again_after_sigkill_with_all_rows(home: Path, victims: str) -> None:
    with EmbeddedServers(home) as servers:
        with connected(home) as connection:
            connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
        data = postgres.data(directories.prepare_directories(home))
        pids = [postmaster(home)] if victims == "postmaster" else processes.find_processes(data, "postgres")
        processes.send(pids, signal.SIGKILL)
        processes.send(
            processes.find_processes(redis.data(directories.prepare_directories(home)), "redis-server"), signal.SIGKILL
        )
        assert processes.wait_until(lambda: running(home) == (False, False), 10)
        assert sorted(servers.revive()) == ["postgres", "redis"]
        with connected(home) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


def test_files_that_name_a_recycled_pid_do_not_block(home: Path) -> None:
    """After a reboot, pid and lock files may name a running process of another program."""
    with EmbeddedServers(home):
        lines = (home / "services/postgres/postmaster.pid").read_text().splitlines()
    stranger = python(home, "input()")
    try:
        lines[0] = str(stranger.pid)
        dirs = directories.prepare_directories(home)
        for path in (postgres.data(dirs) / "postmaster.pid", dirs.sockets / ".s.PGSQL.5432.lock"):
            path.write_text("\n".join(lines) + "\n")
            os.chown(path, *dirs.owner)
        (dirs.sockets / ".s.PGSQL.5432").touch()
        (dirs.sockets / "redis.sock").touch()
        with EmbeddedServers(home):
            assert running(home) == (True, True)
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("content", ["", "not a number\n"])
def test_cut_off_pid_file_does_not_block(home: Path, content: str) -> None:
    with EmbeddedServers(home):
        pass
    dirs = directories.prepare_directories(home)
    pid_file = postgres.data(dirs) / "postmaster.pid"
    pid_file.write_text(content)
    os.chown(pid_file, *dirs.owner)
    with EmbeddedServers(home):
        assert running(home) == (True, True)


def test_half_made_cluster_is_made_again(home: Path) -> None:
    directories.postgres_password(home)
    dirs = directories.prepare_directories(home)
    (dirs.data / "postgres.new").mkdir()
    (dirs.data / "postgres.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedServers(home):
        assert running(home) == (True, True)


def test_server_told_to_wait_for_its_clients_does_not_block(home: Path) -> None:
    """After a SIGTERM by somebody else, PostgreSQL refuses new connections and waits until pooled ones close."""
    with EmbeddedServers(home) as servers, connected(home):
        os.kill(postmaster(home), signal.SIGTERM)
        assert processes.wait_until(lambda: running(home) == (False, True), 10)
        assert servers.revive() == ["postgres"]
        assert running(home) == (True, True)


def test_rivals_who_start_at_once_share_one_server(home: Path) -> None:
    code = (
        "from pathlib import Path; import os\n"
        "from oasst.embedded.servers import EmbeddedServers\n"
        "home = Path(os.environ['OASST_HOME'])\n"
        "with EmbeddedServers(home):\n"
        "    print((home / 'services/postgres/postmaster.pid').read_text().split()[0], flush=True)\n"
        "    input()\n"
        "    from oasst.embedded import directories, postgres\n"
        "    print(postgres.answers(directories.prepare_directories(home)), flush=True)\n"
        "    input()\n"
    )
    rivals = [python(home, code) for _ in range(3)]
    try:
        pids = {rival.stdout.readline() for rival in rivals if rival.stdout}
        assert len(pids) == 1
        for number, rival in enumerate(rivals):
            assert rival.communicate("\n\n", timeout=60)[0].split() == ["True"], f"rival {number} lost its server"
            assert running(home)[0] is (number < len(rivals) - 1), "only the last to leave stops it"
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()


def test_killed_user_leaves_servers_that_the_next_one_takes_over_and_stops(home: Path) -> None:
    user = python(
        home,
        "from pathlib import Path; import os\n"
        "from oasst.embedded.servers import EmbeddedServers\n"
        "EmbeddedServers(Path(os.environ['OASST_HOME'])).__enter__(); print('up', flush=True); input()",
    )
    assert user.stdout and user.stdout.readline() == "up\n"
    before = postmaster(home)
    user.kill()
    user.wait()
    with EmbeddedServers(home):
        assert postmaster(home) == before
    assert running(home) == (False, False)


def test_owner_takes_the_servers_with_it_even_when_killed(home: Path) -> None:
    owner = python(
        home,
        "from pathlib import Path; import os\n"
        "from oasst.embedded.servers import EmbeddedServers\n"
        "EmbeddedServers(Path(os.environ['OASST_HOME']), owner=True).__enter__(); print('up', flush=True); input()",
    )
    assert owner.stdout and owner.stdout.readline() == "up\n"
    dirs = directories.prepare_directories(home)
    owner.kill()
    owner.wait()
    assert processes.wait_until(lambda: not processes.find_processes(postgres.data(dirs), "postgres"), 30)
    assert processes.wait_until(lambda: not processes.find_processes(redis.data(dirs), "redis-server"), 30)


def test_long_home_and_no_mode_changed_above_it(tmp_path: Path) -> None:
    parent = tmp_path.joinpath(*["a-long-name-for-a-directory"] * 6)
    parent.mkdir(parents=True)
    for directory in (tmp_path, *[parent, *parent.parents][:6]):
        directory.chmod(0o700)
    long_home = parent / "home"
    modes = {path: path.stat().st_mode for path in [parent, *parent.parents]}
    try:
        with EmbeddedServers(long_home):
            assert running(long_home) == (True, True)
            assert len(redis.url(long_home)) < 108
        assert {path: path.stat().st_mode for path in modes} == modes
    finally:
        from tests.embedded.homes import clean

        clean(long_home)


def test_failed_start_shows_the_log(home: Path) -> None:
    with EmbeddedServers(home):
        pass
    config = home / "services/postgres/postgresql.conf"
    config.write_text("no_such_setting = 1\n")
    with pytest.raises(ServiceError, match="no_such_setting"), EmbeddedServers(home):
        pass
    # A user that failed to start must not count as one.
    config.write_text("")
    with EmbeddedServers(home):
        pass
    assert running(home) == (False, False)


def test_urls_replace_the_servers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@db.example.org/oasst")
    monkeypatch.setenv("REDIS_URL", "redis://redis.example.org")
    with EmbeddedServers(home):
        pass
    assert not home.exists()
