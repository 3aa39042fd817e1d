"""DATABASE_URL, REDIS_URL, EMAIL_URL and SNAPSHOT_STORAGE_URL: everything in them is used, or refused."""

import asyncio
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pytest
import redis
from channels_redis.core import RedisChannelLayer
from django.conf import settings
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.utils import OperationalError
from django_redis.cache import RedisCache
from kombu import Connection
from limits import parse
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter

from inference.turns import streams
from oasst import settings as site
from oasst.core.server_urls import (
    Bucket,
    RedisServer,
    parse_bucket_url,
    parse_database_url,
    parse_email_url,
    parse_redis_url,
)
from oasst.env import BadVariable
from oasst.site.management.commands import pg
from tests.embedded.tls import TlsServer, postgres_greeting, tls_in_front_of

SECRET = "hunter2"


class TestDatabaseUrl:
    def test_everything_reaches_libpq(self) -> None:
        found = parse_database_url(
            "postgres://us%40er:p%2F%3Aw%25@[::1]:5433,second.example:5434/a%20name?sslmode=verify-full&sslrootcert=/ca.pem"
            "&channel_binding=require&connect_timeout=5&application_name=o%20a&target_session_attrs=read-write&keepalives=1"
        )
        assert found == {
            "NAME": "a name",
            "USER": "us@er",
            "PASSWORD": "p/:w%",
            "HOST": "::1,second.example",
            "PORT": "5433,5434",
            "OPTIONS": {
                "sslmode": "verify-full",
                "sslrootcert": "/ca.pem",
                "channel_binding": "require",
                "connect_timeout": "5",
                "application_name": "o a",
                "target_session_attrs": "read-write",
                "keepalives": "1",
            },
        }

    @pytest.mark.parametrize(
        ("url", "part", "value"),
        [
            ("postgresql:///oasst?host=/var/run/postgresql", "HOST", "/var/run/postgresql"),
            ("postgresql://%2Fvar%2Frun%2Fpostgresql/oasst", "HOST", "/var/run/postgresql"),
            ("postgresql://host?dbname=oasst", "NAME", "oasst"),
            ("postgresql://?service=prod", "OPTIONS", {"service": "prod"}),
            ("postgresql://u:a@b@host/oasst", "PASSWORD", "a@b"),
            ("postgresql://u:a?b#c@host/oasst", "PASSWORD", "a?b#c"),
            ("postgresql://host/oasst?ssl=true", "OPTIONS", {"sslmode": "require"}),
            ("postgresql://host/oasst?sslmode=require&sslmode=require", "OPTIONS", {"sslmode": "require"}),
            ("postgresql://host/oasst?client_encoding=UTF8", "OPTIONS", {}),
            ("postgresql:///oasst?user=name@azure&host=h", "USER", "name@azure"),
        ],
    )
    def test_forms(self, url: str, part: str, value: Any) -> None:
        assert parse_database_url(url)[part] == value

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("mysql://u:hunter2@host/oasst", "must look like"),
            ("postgresql:/oasst", "must look like"),
            ("postgresql://u:hunter2@host", "names no database"),
            ("postgresql://u:hunter2@host/oasst?sslmod=require", "sslmod. Did you mean sslmode?"),
            ("postgresql://u:hunter2@host/oasst?SSLROOTCERT=/a", "Did you mean sslrootcert?"),
            ("postgresql://u:hunter2@host/oasst?sslmode=verify_full", "sslmode must be one of"),
            ("postgresql://u:hunter2@host/oasst?sslmode=", "sslmode has no value"),
            ("postgresql://u:hunter2@host/oasst?sslmode", "write name=value"),
            ("postgresql://u:hunter2@host/oasst?sslmode=require&sslmode=disable", "says sslmode twice"),
            ("postgresql://u:hunter2@host/oasst?host=another", "says host twice"),
            ("postgresql://u:hunter2@host/oasst?user=v", "says user twice"),
            ("postgresql://u:x/hunter2@host/oasst", "write %40 for @, %2F for /"),
            ("postgresql://u:12/hunter2@host/oasst", "write %40 for @, %2F for /"),
            ("postgresql://u:x/y?hunter2@host/oasst", "write %40 for @, %2F for /"),
            ("postgresql://u:12/y?hunter2=x@host/oasst", "write %40 for @, %2F for /"),
            ("postgresql://u:x/y?hunter2", "write name=value"),
            ("postgresql://u@host:hunter2/oasst", "must look like"),
            ("postgresql://u:hunter2@host/oasst?replication=true", "no parameter replication"),
            ("postgresql://u:hunter2@host/oasst?client_encoding=latin1", "client_encoding is always UTF8"),
            ("postgresql://u:%zzhunter2@host/oasst", "must look like"),
        ],
    )
    def test_what_is_not_understood_is_refused_without_its_secret(self, url: str, words: str) -> None:
        with pytest.raises(BadVariable, match=r"^DATABASE_URL") as refused:
            parse_database_url(url)
        assert words in str(refused.value)
        assert SECRET not in str(refused.value)
        assert refused.value.__cause__ is None

    def test_our_own_options_stay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After ours, so that the operator's options take precedence."""
        monkeypatch.setenv("DATABASE_URL", "postgresql:///oasst?options=-c%20statement_timeout%3D5s&sslmode=require")
        options = site._database()["OPTIONS"]
        assert options["options"] == "-c lock_timeout=10s -c statement_timeout=5s"
        assert (options["sslmode"], options["pool"]["timeout"]) == ("require", 20)

    def test_the_programs_of_postgresql_speak_as_the_site_does(self) -> None:
        given = parse_database_url(
            "postgresql://u:p@host/oasst?sslmode=verify-full&sslrootcert=/ca.pem&options=-c%20a%3Db"
        )
        given["OPTIONS"]["options"] = f"{settings.LOCK_TIMEOUT} -c a=b"
        with patch.dict(pg.connection.settings_dict, given):
            assert pg.libpq_environment() == {
                "PGHOST": "host",
                "PGUSER": "u",
                "PGPASSWORD": "p",
                "PGDATABASE": "oasst",
                "PGSSLMODE": "verify-full",
                "PGSSLROOTCERT": "/ca.pem",
                "PGOPTIONS": "-c a=b",
            }


@pytest.mark.django_db
class TestPostgresOverTls:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[TlsServer]:
        where = settings.DATABASES["default"]
        with tls_in_front_of(f"{where['HOST']}/.s.PGSQL.{where['PORT']}", tmp_path, postgres_greeting) as server:
            yield server

    def connect(self, server: TlsServer, query: str, monkeypatch: pytest.MonkeyPatch) -> DatabaseWrapper:
        """Like the site, but without the pool, which retries for twenty seconds."""
        where = settings.DATABASES["default"]
        who = f"{where['USER']}:{quote(where['PASSWORD'], safe='')}"
        monkeypatch.setenv("DATABASE_URL", f"postgresql://{who}@localhost:{server.port}/postgres?{query}")
        database = site._database()
        del database["OPTIONS"]["pool"]
        defaults: dict[str, Any] = {"TIME_ZONE": None, "AUTOCOMMIT": True, "ATOMIC_REQUESTS": False, "TEST": {}}
        wrapper = DatabaseWrapper(defaults | database, alias="default")
        wrapper.ensure_connection()
        return wrapper

    def test_the_certificate_is_checked(self, server: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
        query = f"sslmode=verify-full&sslrootcert={server.authority}&application_name=over%20tls"
        wrapper = self.connect(server, query, monkeypatch)
        try:
            row = wrapper.connection.execute(
                "SELECT current_setting('application_name'), current_setting('lock_timeout')"
            )
            assert row.fetchone() == ("over tls", "10s")
            assert wrapper.connection.pgconn.ssl_in_use
        finally:
            wrapper.close()
        assert server.seen == ["TLSv1.3"]

    def test_a_stranger_is_refused(self, server: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(OperationalError, match="certificate verify failed"):
            self.connect(server, f"sslmode=verify-full&sslrootcert={server.stranger}", monkeypatch)


class TestRedisUrl:
    @pytest.mark.parametrize(
        ("url", "canonical", "broker"),
        [
            ("redis://host", "redis://host:6379?db=0", "redis://host:6379/0"),
            ("redis://host:7/3", "redis://host:7?db=3", "redis://host:7/3"),
            ("redis://host?db=3", "redis://host:6379?db=3", "redis://host:6379/3"),
            ("redis://[::1]:7/3", "redis://[::1]:7?db=3", "redis://[::1]:7/3"),
            ("redis://u:p@host", "redis://u:p@host:6379?db=0", "redis://u:p@host:6379/0"),
            ("redis://:a%40b,c@host", "redis://:a%40b%2Cc@host:6379?db=0", "redis://:a%40b%2Cc@host:6379/0"),
            ("redis://host?password=a%2Fb", "redis://:a%2Fb@host:6379?db=0", "redis://:a%2Fb@host:6379/0"),
            ("unix:///run/r.sock", "unix:///run/r.sock?db=0", "redis+socket:///run/r.sock?virtual_host=0"),
            (
                "unix://:p@/run/r.sock?db=2",
                "unix://:p@/run/r.sock?db=2",
                "redis+socket://:p@/run/r.sock?virtual_host=2",
            ),
        ],
    )
    def test_forms(self, url: str, canonical: str, broker: str) -> None:
        assert parse_redis_url(url) == RedisServer(canonical, broker, None)

    def test_tls_is_on_for_the_queue_too(self) -> None:
        plain = parse_redis_url("rediss://host")
        assert plain.broker_ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
        given = parse_redis_url("rediss://host?ssl_cert_reqs=CERT_NONE&ssl_ca_certs=/ca.pem")
        assert given.url == "rediss://host:6379?db=0&ssl_cert_reqs=none&ssl_ca_certs=/ca.pem"
        assert given.broker_ssl == {
            "ssl_cert_reqs": ssl.CERT_NONE,
            "ssl_check_hostname": False,
            "ssl_ca_certs": "/ca.pem",
        }

    def test_options_reach_the_queue_too(self) -> None:
        found = parse_redis_url("redis://host?health_check_interval=7&client_name=site&socket_keepalive=yes")
        assert found.broker_options == {"health_check_interval": 7, "client_name": "site", "socket_keepalive": True}
        parsed = redis.connection.parse_url(found.url)
        assert {name: parsed[name] for name in found.broker_options} == found.broker_options

    def test_another_database(self) -> None:
        assert parse_redis_url("unix://:p@/run/r.sock?db=2", db=5).url == "unix://:p@/run/r.sock?db=5"
        assert parse_redis_url("redis://host/2", db=5).broker_url == "redis://host:6379/5"

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("http://:hunter2@host", "must look like"),
            ("redis+sentinel://:hunter2@host", "must look like"),
            ("redis://:hunter2@host/abc", "must be a number"),
            ("redis://:hunter2@host/1?db=2", "says db twice"),
            ("redis://:hunter2@host?password=another", "says password twice"),
            ("redis://:hunter2@host?ssl_ca_cert=/a", "Did you mean ssl_ca_certs?"),
            ("redis://:hunter2@host?ssl_ca_certs=/a", "begins with rediss://"),
            ("unix://:hunter2@/run/r.sock?ssl_ca_certs=/a", "begins with rediss://"),
            ("unix://:hunter2@/run/r.sock?socket_keepalive=1", "by the network"),
            ("unix://", "names no socket"),
            ("rediss://:hunter2@host?ssl_cert_reqs=maybe", "must be one of none, optional, required"),
            ("rediss://:hunter2@host?ssl_check_hostname=maybe", "must be on or off"),
            ("redis://:hunter2@host?health_check_interval=x", "must be a whole number"),
            ("redis://:hunter2@host?socket_timeout=5", "socket_timeout is chosen by the site itself"),
            ("redis://:hunter2@host?protocol=2", "protocol is chosen by the site itself"),
            ("redis://:hunter2@a:1,b:2/0", "must look like"),
            ("redis://:hunter2@a,b/0", "must name one server"),
            ("redis://:x/hunter2@host", "write %40 for @"),
            ("redis://:x?hunter2@host", "write %40 for @"),
            ("redis://:x#hunter2@host", "write %40 for @"),
            ("redis://:x@host:hunter2", "must look like"),
        ],
    )
    def test_what_is_not_understood_is_refused_without_its_secret(self, url: str, words: str) -> None:
        with pytest.raises(BadVariable, match=r"^REDIS_URL") as refused:
            parse_redis_url(url)
        assert words in str(refused.value)
        assert SECRET not in str(refused.value)
        assert refused.value.__cause__ is None


class TestRedisOverTls:
    """One URL for five libraries."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[TlsServer]:
        with tls_in_front_of(urlsplit(settings.REDIS_URL).path, tmp_path) as server:
            yield server

    def address(self, server: TlsServer, authority: Path) -> RedisServer:
        parts = urlsplit(settings.REDIS_URL)
        password, db = parts.password, re.findall(r"db=(\d+)", parts.query)[0]
        return parse_redis_url(f"rediss://:{password}@localhost:{server.port}/{db}?ssl_ca_certs={authority}")

    def speak(self, name: str, address: RedisServer) -> None:
        """Write and read back a value through one of our clients; raises what that client raises."""
        getattr(self, f"_{name}")(address)

    def _redis_py(self, address: RedisServer) -> None:
        with redis.Redis.from_url(address.url) as client:
            assert client.ping()

    def _streams(self, address: RedisServer) -> None:
        turn = uuid4()

        async def read() -> list[streams.Piece]:
            async with streams.Reader(turn) as reader:
                return await reader.read(0, 5)

        with patch.object(settings, "REDIS_URL", address.url):
            streams.append([(str(turn), streams.Piece(3, "abc"))])
            assert asyncio.run(read()) == [streams.Piece(3, "abc")]

    def _cache(self, address: RedisServer) -> None:
        parameters = {**settings.CACHES["default"], "LOCATION": address.url}
        parameters["OPTIONS"] = {**parameters["OPTIONS"], "IGNORE_EXCEPTIONS": False}
        one: RedisCache[Any] = RedisCache(address.url, parameters)
        one.set("over tls", [1])
        assert one.get("over tls") == [1]

    def _limits(self, address: RedisServer) -> None:
        limiter = MovingWindowRateLimiter(RedisStorage(address.url))
        assert limiter.hit(parse("1 per minute"), "over tls")
        assert not limiter.hit(parse("1 per minute"), "over tls")

    def _channels(self, address: RedisServer) -> None:
        async def pass_on() -> Any:
            layer = RedisChannelLayer(hosts=[address.url])
            await layer.send("over-tls", {"type": "heard"})
            heard = await layer.receive("over-tls")
            await layer.flush()
            return heard

        assert asyncio.run(asyncio.wait_for(pass_on(), 60)) == {"type": "heard"}

    def _celery(self, address: RedisServer) -> None:
        options = {**settings.CELERY_BROKER_TRANSPORT_OPTIONS, "max_retries": 0}
        with (
            Connection(address.broker_url, ssl=address.broker_ssl, transport_options=options) as connection,
            connection.SimpleQueue("over tls") as queue,
        ):
            queue.put({"a": 1})
            assert queue.get(timeout=60).payload == {"a": 1}

    CLIENTS = ("redis_py", "streams", "cache", "limits", "channels", "celery")

    @pytest.mark.parametrize("name", CLIENTS)
    def test_each_client_speaks_tls(self, name: str, server: TlsServer) -> None:
        self.speak(name, self.address(server, server.authority))
        assert set(server.seen) == {"TLSv1.3"}

    @pytest.mark.parametrize("name", CLIENTS)
    def test_each_client_refuses_a_stranger(self, name: str, server: TlsServer) -> None:
        with pytest.raises(Exception, match=r"(?i)certificate verify failed") as refused:
            self.speak(name, self.address(server, server.stranger))
        assert str(urlsplit(settings.REDIS_URL).password) not in str(refused.value)


class TestPasswordIsNotShown:
    def test_in_the_names_of_connections(self, redis_server: redis.Redis) -> None:
        """The banner of a worker and its errors about the broker show these."""
        address = parse_redis_url("unix://:hunter2@/run/r.sock?db=0")
        assert SECRET not in Connection(address.broker_url).as_uri()
        assert SECRET not in repr(redis.Redis.from_url(address.url))
        with pytest.raises(redis.ConnectionError) as away:
            redis.Redis.from_url(address.url, retry=None).ping()
        assert SECRET not in str(away.value)


class TestEmailUrl:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("smtp://host", {"port": 587, "tls": False, "ssl": False, "timeout": 10}),
            ("smtp://host/?tls=1&timeout=30", {"port": 587, "tls": True, "ssl": False, "timeout": 30}),
            ("smtps://host", {"port": 465, "tls": False, "ssl": True}),
            ("smtps://host?tls=1", {"port": 465, "tls": False, "ssl": True}),
            ("smtp://u%40x:p%2F@host:25", {"port": 25, "user": "u@x", "password": "p/"}),
            ("smtp://[::1]:25", {"host": "::1"}),
        ],
    )
    def test_forms(self, url: str, expected: dict[str, Any]) -> None:
        found = parse_email_url(url)
        assert {name: found[name] for name in expected} == expected

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("http://u:hunter2@host", "must look like"),
            ("smtp://u:hunter2@", "must look like"),
            ("smtp://u:hunter2@host/path", "must look like"),
            ("smtp://u:hunter2@host?tsl=1", "Did you mean tls?"),
            ("smtp://u:hunter2@host?starttls=1", "Known are timeout, tls"),
            ("smtp://u:hunter2@host?tls=maybe", "tls must be on or off"),
            ("smtp://u:hunter2@host?timeout=soon", "timeout must be a whole number"),
            ("smtps://u:hunter2@host?tls=0", "is TLS and tls=0 is not"),
            ("smtp://u@host:hunter2", "must look like"),
            ("smtp://u:x/hunter2@host", "write %40 for @"),
        ],
    )
    def test_what_is_not_understood_is_refused_without_its_secret(self, url: str, words: str) -> None:
        with pytest.raises(BadVariable, match=r"^EMAIL_URL") as refused:
            parse_email_url(url)
        assert words in str(refused.value)
        assert SECRET not in str(refused.value)
        assert refused.value.__cause__ is None


class TestBucketUrl:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("s3://data-sets", Bucket("data-sets")),
            ("s3://data.sets/a/b/?region=eu-central-1", Bucket("data.sets", "a/b", "eu-central-1")),
            (
                "s3://data?endpoint=http://minio:9000&public_endpoint=https%3A%2F%2Ffiles.example.org%2F",
                Bucket("data", endpoint="http://minio:9000", public_endpoint="https://files.example.org"),
            ),
        ],
    )
    def test_forms(self, url: str, expected: Bucket) -> None:
        assert parse_bucket_url(url) == expected

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("https://data.s3.amazonaws.com", "must look like s3://"),
            ("s3://", "must look like s3://"),
            ("s3://Data_Sets", "must look like s3://"),
            ("s3://data//a", "must look like s3://"),
            ("s3://data:9000/a", "must look like s3://"),
            (f"s3://key:{SECRET}@data", "AWS_SECRET_ACCESS_KEY"),
            (f"s3://data?secret={SECRET}", "no parameter secret"),
            (f"s3://data?endpoint=https://key:{SECRET}@minio", "must look like s3://"),
            ("s3://data?endpoint=minio:9000", "endpoint must look like https://"),
            ("s3://data?public_endpoint=https://files.example.org", "public_endpoint needs endpoint"),
        ],
    )
    def test_what_is_not_understood_is_refused_without_its_secret(self, url: str, words: str) -> None:
        with pytest.raises(BadVariable, match=re.escape(words)) as refused:
            parse_bucket_url(url)
        assert SECRET not in str(refused.value)
