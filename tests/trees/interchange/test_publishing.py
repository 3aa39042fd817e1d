"""Published snapshots: who may have what, from the folder and from a bucket, and what happens when it goes wrong."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import Conflict, Gone
from oasst.core.server_urls import Bucket
from tests.crash.processes import Process, Site, wait_until
from tests.factories import conversation
from tests.paths import ROOT
from tests.trees.interchange.fake_bucket import FOLDER, KEY_ID, NAME, SECRET, FakeBucket, fake_bucket
from tests.trees.interchange.fake_hub import TOKEN, FakeHub, fake_hub
from tests.wire.conftest import Wire
from trees.interchange.snapshots import bucket_storage, publishing
from trees.interchange.snapshots.freezing import retract, withdrawn_of
from trees.interchange.snapshots.manifest import MANIFEST, SUMS, facts_of_files, manifest_bytes, sums_bytes
from trees.interchange.snapshots.published import files_of
from trees.models import Deletion, Message, Snapshot
from trees.snapshot_pages import page_url

pytestmark = pytest.mark.django_db

TABLE, OTHER = "data/messages/train.parquet", "data/messages/test.parquet"


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.SNAPSHOT_SALT = "a long secret that nobody can guess"
    settings.SNAPSHOT_FOLDER = tmp_path / "snapshots"
    settings.SNAPSHOT_BUCKET = None
    found: Path = settings.SNAPSHOT_FOLDER / "2026.1"
    return found


@pytest.fixture
def frozen(db: None, folder: Path) -> Snapshot:
    return made_snapshot(folder)


@pytest.fixture
def published(frozen: Snapshot) -> Snapshot:
    run("snapshot_publish", "2026.1")
    frozen.refresh_from_db()
    return frozen


@pytest.fixture(scope="module")
def _bucket() -> Iterator[FakeBucket]:
    with fake_bucket() as found:
        yield found


@pytest.fixture
def bucket(_bucket: FakeBucket, settings: Any) -> FakeBucket:
    _bucket.empty()
    settings.SNAPSHOT_BUCKET = _bucket.bucket
    settings.AWS_ACCESS_KEY_ID, settings.AWS_SECRET_ACCESS_KEY = KEY_ID, SECRET
    return _bucket


@pytest.fixture
def hub(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    # Another test may have imported the library, which reads the variable only then.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    settings.HF_TOKEN = TOKEN
    with fake_hub() as found:
        yield found


def freeze(tmp_path: Path, name: str = "2026.1") -> Snapshot:
    """Freeze trees of a file, and write them elsewhere than where they are published."""
    lines = [conversation(lang=lang) for lang in ("en", "en", "de")]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run("import_trees", str(tmp_path / "in.jsonl"), "--license", "CC0-1.0")
    run("snapshot_create", "--name", name, "--output", str(tmp_path / "elsewhere" / name))
    return Snapshot.objects.get(name=name)


def made_snapshot(folder: Path, **more_files: bytes) -> Snapshot:
    """A written snapshot with a few files, and without trees: much faster."""
    files = {TABLE: b"PAR1" + bytes(range(256)) * 8, OTHER: b"PAR1PAR1", "withdrawn.jsonl": b"", "card.html": b"<p>Hi"}
    for path, content in (files | more_files).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    has = {"trees": 3, "messages": 9}
    manifest = {
        "name": folder.name,
        "filters": {},
        "counts": {**has, "rows": {"messages": {"train": 9}}, "withdrawn": 0},
        "bases": {"license CC0-1.0": 9},
        "left_out": {"trees": {"withdrawn": 1}},
        "files": facts_of_files(folder),
    }
    (folder / MANIFEST).write_bytes(manifest_bytes(manifest))
    (folder / SUMS).write_bytes(sums_bytes(manifest))
    return Snapshot.objects.create(
        name=folder.name,
        format_version=1,
        cutoff=timezone.now(),
        counts={"has": has, "bases": manifest["bases"], "languages": {"en": 6, "de": 3}},
        source_sha256="5" * 64,
        withdrawn=b"",
        manifest=manifest,
    )


def run(*command: str) -> str:
    said = StringIO()
    call_command(*command, stdout=said, stderr=said)
    return said.getvalue()


def keys(snapshot: Snapshot) -> set[str]:
    return {f"{FOLDER}/{snapshot.name}/{path}" for path in files_of(snapshot.manifest)}


def content(response: Any) -> bytes:
    found: bytes = b"".join(response.streaming_content) if response.streaming else response.content
    return found


class TestPublishing:
    def test_from_the_folder(self, folder: Path, client: Client, tmp_path: Path) -> None:
        """Its folder is written where it is missing."""
        freeze(tmp_path)
        assert client.get("/data/2026.1/").status_code == 404
        assert not folder.exists()
        assert "2026.1 is published: http" in run("snapshot_publish", "2026.1")
        answer = client.get(f"/data/2026.1/{TABLE}")
        assert content(answer) == (folder / TABLE).read_bytes()
        for path, file in files_of(Snapshot.objects.get().manifest).items():
            assert hashlib.sha256(content(client.get(f"/data/2026.1/{path}"))).hexdigest() == file.sha256
        page = client.get("/data/2026.1/").text
        assert "2 languages" in page and "German, English" not in page and "Why?" not in page
        assert answer["ETag"] == f'"{hashlib.sha256((folder / TABLE).read_bytes()).hexdigest()}"'

    def test_twice_changes_nothing(self, published: Snapshot) -> None:
        assert "was published already" in run("snapshot_publish", "2026.1")
        again = Snapshot.objects.get()
        assert (again.published_at, again.published_bytes) == (published.published_at, published.published_bytes)
        assert again.published_bytes == sum(file.bytes for file in files_of(again.manifest).values())

    def test_unpublishing(self, published: Snapshot, folder: Path, client: Client) -> None:
        for _ in range(2):
            assert "not offered any more" in run("snapshot_unpublish", "2026.1")
        assert folder.exists()
        for path in ("", TABLE, MANIFEST):
            assert client.get(f"/data/2026.1/{path}").status_code == 404
        assert b"2026.1" not in client.get("/data/").content
        run("snapshot_publish", "2026.1")
        assert client.get("/data/2026.1/").status_code == 200

    def test_a_retracted_one_is_gone_and_says_why(self, published: Snapshot, client: Client) -> None:
        run("snapshot_retract", "2026.1", "--reason", "Court order 12/26.")
        for path in ("", TABLE):
            answer = client.get(f"/data/2026.1/{path}")
            assert answer.status_code == 410
            assert b"Court order 12/26." in answer.content
        assert b"2026.1" not in client.get("/data/").content
        with pytest.raises(CommandError, match="was retracted"):
            run("snapshot_publish", "2026.1")
        run("snapshot_unpublish", "2026.1")
        assert client.get("/data/2026.1/").status_code == 410

    def test_the_list_says_what_is_published(self, frozen: Snapshot) -> None:
        assert run("snapshot_list").endswith("  not published\n")
        run("snapshot_publish", "2026.1")
        assert f"  published {timezone.now():%Y-%m-%d}\n" in run("snapshot_list")
        run("snapshot_unpublish", "2026.1")
        assert run("snapshot_list").endswith("  not published\n")

    def test_one_that_was_never_published_is_not_told_of(self, frozen: Snapshot, client: Client) -> None:
        run("snapshot_retract", "2026.1", "--reason", "Secret.")
        assert client.get("/data/2026.1/").status_code == 404

    @pytest.mark.parametrize("command", ["snapshot_publish", "snapshot_unpublish"])
    def test_unknown_names(self, db: None, command: str) -> None:
        with pytest.raises(CommandError, match="no snapshot 'nothing'"):
            run(command, "nothing")


class TestBucket:
    def test_every_file_arrives_the_manifest_last(self, frozen: Snapshot, bucket: FakeBucket, folder: Path) -> None:
        said = run("snapshot_publish", "2026.1")
        frozen.refresh_from_db()
        assert set(bucket.listed()) == keys(frozen)
        assert bucket.puts()[-2:] == [SUMS, MANIFEST]
        for path in files_of(frozen.manifest):
            assert bucket.read(f"{FOLDER}/2026.1/{path}") == (folder / path).read_bytes()
        assert f"{len(keys(frozen))} of {len(keys(frozen))} files were uploaded" in said
        bucket.requests.clear()
        assert f"0 of {len(keys(frozen))} files were uploaded" in run("snapshot_publish", "2026.1")
        assert bucket.puts() == []

    def test_a_damaged_or_missing_file_is_uploaded_again(self, frozen: Snapshot, bucket: FakeBucket) -> None:
        run("snapshot_publish", "2026.1")
        bucket.client.put_object(Bucket=NAME, Key=f"{FOLDER}/2026.1/{TABLE}", Body=b"damaged")
        bucket.client.delete_object(Bucket=NAME, Key=f"{FOLDER}/2026.1/{SUMS}")
        bucket.requests.clear()
        run("snapshot_publish", "2026.1")
        assert bucket.puts() == [TABLE, SUMS]

    def test_other_content_with_the_same_metadata_is_found(self, frozen: Snapshot, bucket: FakeBucket) -> None:
        run("snapshot_publish", "2026.1")
        file = files_of(Snapshot.objects.get().manifest)[TABLE]
        bucket.client.put_object(
            Bucket=NAME,
            Key=f"{FOLDER}/2026.1/{TABLE}",
            Body=b"x" * file.bytes,
            Metadata={"sha256": file.sha256},
            ChecksumAlgorithm="SHA256",
        )
        bucket.requests.clear()
        run("snapshot_publish", "2026.1")
        assert bucket.puts() == [TABLE]

    def test_a_half_upload_is_not_offered(self, frozen: Snapshot, bucket: FakeBucket, client: Client) -> None:
        bucket.before = lambda method, path: "403 AccessDenied" if path.endswith("messages/test.parquet") else None
        with pytest.raises(
            CommandError, match=r"did not take data/messages/test\.parquet: (403|AccessDenied)"
        ) as refused:
            run("snapshot_publish", "2026.1")
        assert SECRET not in str(refused.value)
        assert bucket.listed() and f"{FOLDER}/2026.1/{MANIFEST}" not in bucket.listed()
        assert client.get("/data/2026.1/").status_code == 404
        bucket.before = lambda method, path: None
        run("snapshot_publish", "2026.1")
        assert client.get("/data/2026.1/").status_code == 200

    def test_a_bucket_that_is_away(self, frozen: Snapshot, settings: Any) -> None:
        settings.SNAPSHOT_BUCKET = Bucket("datasets", endpoint="http://127.0.0.1:9")
        settings.AWS_ACCESS_KEY_ID, settings.AWS_SECRET_ACCESS_KEY = KEY_ID, SECRET
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.sleep", lambda seconds: None)  # between tries
            with pytest.raises(CommandError, match=r"The bucket datasets did not take .*127\.0\.0\.1:9"):
                run("snapshot_publish", "2026.1")
        assert Snapshot.objects.get().published_at is None

    def test_downloads_lead_there(self, frozen: Snapshot, bucket: FakeBucket, folder: Path, client: Client) -> None:
        """By a signed link for an hour, which also gives parts."""
        run("snapshot_publish", "2026.1")
        answer = client.get(f"/data/2026.1/{TABLE}")
        assert (answer.status_code, answer["Cache-Control"]) == (302, "no-store")
        assert SECRET not in answer["Location"]
        assert parse_qs(urlsplit(answer["Location"]).query)["X-Amz-Expires"] == ["3600"]
        whole, expected = requests.get(answer["Location"], timeout=60), (folder / TABLE).read_bytes()
        assert whole.content == expected
        assert whole.headers["Content-Type"] == "application/vnd.apache.parquet"
        assert 'filename="2026.1-data-messages-train.parquet"' in whole.headers["Content-Disposition"]
        part = requests.get(answer["Location"], headers={"Range": "bytes=4-9"}, timeout=60)
        assert (part.status_code, part.content) == (206, expected[4:10])
        head = client.head(f"/data/2026.1/{TABLE}")
        assert requests.head(head["Location"], timeout=60).headers["Content-Length"] == str(len(expected))

    def test_links_name_the_public_address(self, frozen: Snapshot, bucket: FakeBucket, settings: Any) -> None:
        run("snapshot_publish", "2026.1")
        public = "https://files.example.org"
        settings.SNAPSHOT_BUCKET = Bucket(NAME, FOLDER, "us-east-1", bucket.bucket.endpoint, public)
        assert Client().get(f"/data/2026.1/{TABLE}")["Location"].startswith(f"{public}/{NAME}/{FOLDER}/2026.1/{TABLE}?")

    def test_no_credentials(self, frozen: Snapshot, bucket: FakeBucket, settings: Any, client: Client) -> None:
        run("snapshot_publish", "2026.1")
        settings.AWS_ACCESS_KEY_ID = settings.AWS_SECRET_ACCESS_KEY = ""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            bucket_storage.bucket_storage.cache_clear()
            answer = client.get(f"/data/2026.1/{TABLE}")
        assert answer.status_code == 503

    @pytest.mark.parametrize("command", [("snapshot_unpublish",), ("snapshot_retract", "--reason", "Why not.")])
    def test_taking_it_back_removes_the_files(
        self, frozen: Snapshot, bucket: FakeBucket, command: tuple[str, ...]
    ) -> None:
        run("snapshot_publish", "2026.1")
        bucket.client.put_object(Bucket=NAME, Key=f"{FOLDER}/2026.10/kept", Body=b"of another snapshot")
        run(command[0], "2026.1", *command[1:])
        assert bucket.listed() == [f"{FOLDER}/2026.10/kept"]

    def test_if_removing_fails_it_is_not_offered_all_the_same(
        self, frozen: Snapshot, bucket: FakeBucket, client: Client
    ) -> None:
        run("snapshot_publish", "2026.1")
        bucket.before = lambda method, path: "403 AccessDenied" if method == "DELETE" else None
        with pytest.raises(CommandError, match="did not remove everything: AccessDenied"):
            run("snapshot_unpublish", "2026.1")
        assert client.get(f"/data/2026.1/{TABLE}").status_code == 404
        bucket.before = lambda method, path: None
        run("snapshot_unpublish", "2026.1")
        assert bucket.listed() == []


@pytest.mark.slow
def test_the_site_starts_without_the_libraries_of_buckets_and_the_hub() -> None:
    program = (
        "import sys, django\n"
        "django.setup()\n"
        "import oasst.urls\n"
        "from django.core.management import load_command_class\n"
        "for name in ('snapshot_publish', 'snapshot_push'): load_command_class('trees', name)\n"
        "assert not {'boto3', 'botocore', 'huggingface_hub'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


@pytest.mark.django_db(transaction=True)
class TestRivals:
    def test_two_publishers_at_once(self, frozen: Snapshot, bucket: FakeBucket) -> None:
        """The second one is told; nothing is uploaded twice."""
        begun, told = threading.Event(), threading.Event()

        def hold(method: str, path: str) -> None:
            if method == "PUT" and not begun.is_set():
                begun.set()
                assert told.wait(60)

        bucket.before = hold
        results: list[Any] = []

        def first() -> None:
            try:
                results.append(publishing.publish("2026.1"))
            finally:
                connection.close()

        thread = threading.Thread(target=first)
        thread.start()
        assert begun.wait(60)
        for act in (publishing.publish, publishing.unpublish):
            with pytest.raises(Conflict, match="by another command"):
                act("2026.1")
        told.set()
        thread.join(60)
        assert results[0].is_new
        assert len(bucket.puts()) == len(set(bucket.puts())) == results[0].files

    def test_what_is_retracted_meanwhile_is_not_offered(
        self, frozen: Snapshot, bucket: FakeBucket, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A retraction waits for no upload."""
        add = bucket_storage.BucketStorage.add

        def retract_here() -> None:
            try:
                retract("2026.1", reason="No.")
            finally:
                connection.close()

        def add_then_retract(*args: Any) -> int:
            added = add(*args)
            rival = threading.Thread(target=retract_here)
            rival.start()
            rival.join(60)
            return added

        monkeypatch.setattr(bucket_storage.BucketStorage, "add", add_then_retract)
        with pytest.raises(Gone):
            publishing.publish("2026.1")
        assert bucket.puts() and bucket.listed() == []
        assert client.get("/data/2026.1/").status_code == 404

    @pytest.mark.slow
    def test_a_killed_upload_goes_on_where_it_was(self, tmp_path: Path, bucket: FakeBucket, settings: Any) -> None:
        settings.SNAPSHOT_FOLDER = settings.OASST_HOME / "snapshots"  # as the process has it
        name = f"killed-{connection.settings_dict['NAME']}".replace("_", "-")
        made_snapshot(settings.SNAPSHOT_FOLDER / name)
        reached, release = threading.Event(), threading.Event()

        def hold(method: str, path: str) -> None:
            if method == "PUT" and path.endswith("messages/test.parquet"):
                reached.set()
                release.wait(60)

        bucket.before = hold
        variables = {
            "SNAPSHOT_STORAGE_URL": f"s3://{NAME}/{FOLDER}?region=us-east-1&endpoint={bucket.bucket.endpoint}",
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
        process = Process(["manage.py", "snapshot_publish", name], tmp_path / "log", variables=variables)
        try:
            wait_until(lambda: reached.is_set() or process.child.poll() is not None, 60, process.said)
            assert reached.is_set(), process.said()
            process.child.send_signal(signal.SIGKILL)
            process.child.wait(60)
        finally:
            process.kill()
            release.set()
        there = {path.partition(f"/{name}/")[2] for path in bucket.listed()} - {OTHER}
        assert there and MANIFEST not in there and Snapshot.objects.get().published_at is None
        bucket.before = lambda method, path: None
        bucket.requests.clear()
        # At once: the dead process holds no lock.
        done = publishing.publish(name)
        assert done.is_new and not there & set(bucket.puts())
        assert set(bucket.listed()) == keys(done.snapshot)
        shutil.rmtree(settings.SNAPSHOT_FOLDER / name)


class TestDownloads:
    def test_parts(self, published: Snapshot, folder: Path, client: Client) -> None:
        expected = (folder / TABLE).read_bytes()
        answer = client.get(f"/data/2026.1/{TABLE}", headers={"Range": "bytes=-8"})
        assert (answer.status_code, content(answer)) == (206, expected[-8:])
        answer = client.get(f"/data/2026.1/{TABLE}", headers={"Range": f"bytes={len(expected)}-"})
        assert (answer.status_code, answer["Content-Range"]) == (416, f"bytes */{len(expected)}")
        answer = client.head(f"/data/2026.1/{TABLE}")
        assert (answer["Content-Length"], answer["Accept-Ranges"]) == (str(len(expected)), "bytes")
        answer = client.get(f"/data/2026.1/{TABLE}", headers={"If-None-Match": answer["ETag"]})
        assert answer.status_code == 304

    def test_every_file_can_be_downloaded(self, published: Snapshot, folder: Path, client: Client) -> None:
        for path, file in files_of(published.manifest).items():
            answer = client.get(f"/data/2026.1/{path}")
            assert hashlib.sha256(content(answer)).hexdigest() == file.sha256
            assert answer["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in answer["Content-Security-Policy"]
            assert answer["Cache-Control"] == "public, max-age=300"
        assert manifest_bytes(published.manifest) == (folder / MANIFEST).read_bytes()

    @pytest.mark.parametrize(
        "path",
        [
            "../2026.2/manifest.json",
            "..%2f..%2fsecret-key",
            "data/../manifest.json",
            "data/messages/",
            "data",
            "/etc/passwd",
            "%2e%2e/%2e%2e/secret-key",
            ".hidden",
            "manifest.json/",
            "manifest.json%00",
        ],
    )
    def test_only_the_paths_of_the_manifest(self, published: Snapshot, folder: Path, client: Client, path: str) -> None:
        (folder.parent / "secret-key").write_text("secret")
        (folder / ".hidden").write_text("secret")
        answer = client.get(f"/data/2026.1/{path}")
        assert answer.status_code in (400, 404)
        assert b"secret" not in answer.content

    def test_a_folder_that_somebody_changed(self, published: Snapshot, folder: Path, client: Client) -> None:
        (folder / TABLE).write_bytes(b"shorter")
        assert client.get(f"/data/2026.1/{TABLE}").status_code == 503
        (folder / TABLE).unlink()
        assert client.get(f"/data/2026.1/{TABLE}").status_code == 503

    @pytest.mark.slow
    @pytest.mark.django_db(transaction=True)
    def test_slow_readers_hold_no_connection(self, tmp_path: Path, settings: Any) -> None:
        """More of them than the pool has connections, and the site still answers."""
        settings.SNAPSHOT_FOLDER = settings.OASST_HOME / "snapshots"  # as the server has it
        folder = settings.SNAPSHOT_FOLDER / f"large-{connection.settings_dict['NAME']}".replace("_", "-")
        start, size = b"PAR1" + bytes(range(256)), 30_000_000
        made_snapshot(folder, **{TABLE: start + bytes(size - len(start))})
        run("snapshot_publish", folder.name)
        site = Site(tmp_path)
        address, readers = f"{site.url}/data/{folder.name}/", []
        try:
            for _ in range(settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"] + 2):
                readers.append(requests.get(f"{address}{TABLE}", stream=True, timeout=60))
                assert readers[-1].raw.read(len(start)) == start
            assert requests.get(address, timeout=60).status_code == 200
            assert len(readers[0].raw.read()) == size - len(start)
            headers = {"Range": "bytes=0-3", "Accept-Encoding": "gzip"}
            part = requests.get(f"{address}{TABLE}", headers=headers, timeout=60)
            assert (part.status_code, part.content) == (206, b"PAR1")
            assert "Content-Encoding" not in part.headers
            head = requests.head(f"{address}{TABLE}", timeout=60)
            assert (head.status_code, head.headers["Content-Length"]) == (200, str(size))
        finally:
            for reader in readers:
                reader.close()
            site.end()
            shutil.rmtree(folder)


class TestPages:
    def test_visitors_see_what_there_is(self, published: Snapshot, client: Client) -> None:
        page = client.get("/data/").text
        for words in ("2026.1", "CC0-1.0", "English", "German", "@misc{oasst20261", published.source_sha256):
            assert words in page
        assert 'href="/statistics/"' in page
        page = client.get("/data/2026.1/").text
        for path, file in files_of(published.manifest).items():
            assert f'href="/data/2026.1/{path}"' in page and file.sha256 in page
        assert "Why?" not in page, "texts of people"
        assert f"curl -fsSLO {page_url('2026.1')}SHA256SUMS" in page, "how to get all of it"
        assert 'load_dataset("2026.1", "threads", split="train")' in page
        assert 'href="/data/"' in client.get("/").text

    def test_an_empty_list(self, db: None, client: Client) -> None:
        assert "Nothing is published yet" in client.get("/data/").text

    def test_frozen_ones_are_not_shown(self, frozen: Snapshot, client: Client) -> None:
        assert "2026.1" not in client.get("/data/").text

    def test_people_see_the_same(self, published: Snapshot, client: Client, alice: User) -> None:
        client.force_login(alice)
        assert client.get("/data/2026.1/").status_code == 200
        assert client.get("/data/2026.1", follow=True).redirect_chain == [("/data/2026.1/", 301)]

    @pytest.mark.parametrize("path", ["/data/", "/data/2026.1/", f"/data/2026.1/{TABLE}"])
    def test_its_cost_does_not_grow(self, published: Snapshot, client: Client, alice: User, path: str) -> None:
        client.force_login(alice)
        client.get(path)

        def cost() -> int:
            with CaptureQueriesContext(connection) as caught:
                assert client.get(path).status_code == 200
            return len(caught)

        before = cost()
        assert before <= 12
        files = published.manifest["files"]
        for number in range(10 * len(files)):
            files[f"data/more/{number}.parquet"] = {"bytes": 1, "sha256": "0" * 64}
        published.save()
        copies = [Snapshot.objects.get() for _ in range(10)]
        for number, copy in enumerate(copies):
            copy.pk, copy.name = None, f"copy-{number}"  # type: ignore[assignment]
            copy.save()
        assert cost() == before


class TestApi:
    def test_any_key_reads_it(self, published: Snapshot) -> None:
        bot = Wire("bot", trusted=False)
        (one,) = bot.get("snapshots").json()
        assert (one["name"], one["messages"], one["languages"]) == ("2026.1", 9, {"de": 3, "en": 6})
        whole = bot.get("snapshots/2026.1").json()
        assert whole["source_sha256"] == published.source_sha256
        for file in whole["files"]:
            path = urlsplit(file["url"]).path
            assert hashlib.sha256(content(Client().get(path))).hexdigest() == file["sha256"]

    def test_others_are_refused(self, published: Snapshot, client: Client) -> None:
        assert client.get("/api/v1/snapshots").status_code == 403
        bot = Wire("bot", trusted=False)
        assert bot.get("snapshots/nothing").status_code == 404
        run("snapshot_retract", "2026.1", "--reason", "Court order.")
        assert bot.get("snapshots").json() == []
        gone = bot.get("snapshots/2026.1")
        assert (gone.status_code, "Court order." in gone.json()["message"]) == (410, True)


class TestWithdrawnMeanwhile:
    @pytest.fixture
    def real(self, tmp_path: Path) -> Snapshot:
        return freeze(tmp_path)

    @staticmethod
    def remove_one() -> None:
        message = Message.objects.exclude(parent=None).earliest("pk")
        Deletion.objects.create(tree=message.tree, message=message, message_ids=[message.pk], reason="Law.")

    def test_it_is_not_published_for_the_first_time(self, real: Snapshot, hub: FakeHub) -> None:
        self.remove_one()
        with pytest.raises(CommandError, match=r"1 message was withdrawn.*snapshot_create"):
            run("snapshot_publish", "2026.1")
        with pytest.raises(CommandError, match="snapshot_create"):
            run("snapshot_push", "2026.1", "--repo", "people/conversations", "--endpoint", hub.url)
        real.refresh_from_db()
        assert real.published_at is None and hub.repositories == {}

    def test_what_was_published_before_stays(self, real: Snapshot) -> None:
        run("snapshot_publish", "2026.1")
        self.remove_one()
        run("snapshot_publish", "2026.1")

    def test_what_was_taken_back_does_not_return(self, real: Snapshot) -> None:
        run("snapshot_publish", "2026.1")
        run("snapshot_unpublish", "2026.1")
        run("snapshot_publish", "2026.1")
        run("snapshot_unpublish", "2026.1")
        self.remove_one()
        with pytest.raises(CommandError, match=r"can no longer be published, even if it was before\. .*another name"):
            run("snapshot_publish", "2026.1")
        Message.objects.filter(pk=Deletion.objects.get().message_id).update(deleted=True)
        run("snapshot_create", "--name", "2026.2")
        run("snapshot_publish", "2026.2")

    def test_another_salt_finds_nothing(self, real: Snapshot, settings: Any) -> None:
        settings.SNAPSHOT_SALT = "another long secret of somebody"
        with pytest.raises(CommandError, match="Restore the salt"):
            run("snapshot_publish", "2026.1")

    def test_the_next_list_names_it_even_when_its_snapshot_is_retracted(self, real: Snapshot) -> None:
        self.remove_one()
        run("snapshot_create", "--name", "2026.2")
        listed = withdrawn_of(Snapshot.objects.get(name="2026.2"))
        assert json.loads(listed)["reason"] == "removed"
        run("snapshot_retract", "2026.1", "--reason", "Court order.")
        run("snapshot_retract", "2026.2", "--reason", "Court order.")
        run("snapshot_create", "--name", "2026.3")
        assert withdrawn_of(Snapshot.objects.get(name="2026.3")) == listed
        Deletion.objects.update(undone_at=timezone.now())
        run("snapshot_create", "--name", "2026.4")
        assert withdrawn_of(Snapshot.objects.get(name="2026.4")) == b""


class TestHub:
    def push(self, hub: FakeHub, *more: str, name: str = "2026.1", repo: str = "people/conversations") -> str:
        return run("snapshot_push", name, "--repo", repo, "--endpoint", hub.url, *more)

    def test_it_arrives_whole_in_one_commit(self, frozen: Snapshot, hub: FakeHub, folder: Path) -> None:
        assert f"2026.1 was pushed: {hub.url}/datasets/people/conversations" in self.push(hub, "--private")
        repository = hub.repositories["people/conversations"]
        frozen.refresh_from_db()
        assert repository.private and len(repository.commits) == 2
        assert set(repository.files) - {".gitattributes"} == set(files_of(frozen.manifest))
        for path in files_of(frozen.manifest):
            assert repository.files[path] == (folder / path).read_bytes()
        assert repository.tags == {"2026.1": repository.head}

    def test_twice_changes_nothing(self, frozen: Snapshot, hub: FakeHub) -> None:
        self.push(hub)
        uploads = hub.uploads
        assert uploads and "is there already" in self.push(hub)
        assert hub.uploads == uploads and len(hub.repositories["people/conversations"].commits) == 2

    def test_the_next_snapshot_replaces_files_and_keeps_the_history(
        self, frozen: Snapshot, hub: FakeHub, tmp_path: Path
    ) -> None:
        self.push(hub)
        repository = hub.repositories["people/conversations"]
        manifest = json.loads(repository.files[MANIFEST])
        manifest["files"]["data/former.parquet"] = {}
        former = {"data/former.parquet": b"a form that there is no more", MANIFEST: json.dumps(manifest).encode()}
        repository.commits.append({**repository.files, **former})
        made_snapshot(tmp_path / "snapshots" / "2026.2", **{TABLE: b"other rows"})
        self.push(hub, name="2026.2")
        assert "data/former.parquet" not in repository.files
        assert list(repository.tags) == ["2026.1", "2026.2"]
        assert json.loads(repository.files[MANIFEST])["name"] == "2026.2"
        assert json.loads(repository.commits[1][MANIFEST])["name"] == "2026.1"

    @pytest.mark.parametrize("manifest", [None, b"{}", b"[1]", b"no JSON"])
    def test_foreign_files_beside_a_manifest_are_left_alone(
        self, frozen: Snapshot, hub: FakeHub, manifest: bytes | None
    ) -> None:
        self.push(hub)
        repository = hub.repositories["people/conversations"]
        repository.commits[-1]["letters/ann.txt"] = b"Dear Ann"
        if manifest is not None:
            repository.commits[-1][MANIFEST] = manifest
        with pytest.raises(CommandError, match="holds something else"):
            self.push(hub)
        assert "letters/ann.txt" in repository.files and len(repository.commits) == 2

    def test_the_tag_of_something_else_is_left_alone(self, frozen: Snapshot, hub: FakeHub) -> None:
        self.push(hub)
        repository = hub.repositories["people/conversations"]
        repository.tags["2026.1"] = f"{1:040x}"
        with pytest.raises(CommandError, match="has a tag"):
            self.push(hub)
        assert len(repository.commits) == 2

    def test_a_repository_with_something_else_is_left_alone(self, frozen: Snapshot, hub: FakeHub) -> None:
        self.push(hub)
        repository = hub.repositories["people/conversations"]
        repository.commits.append({"README.md": b"Mine", "data.csv": b"1"})
        with pytest.raises(CommandError, match="holds something else"):
            self.push(hub)
        assert len(repository.commits) == 3

    @pytest.mark.parametrize(
        ("refuse", "words"),
        [
            ({"/api/repos/create": 403, "/api/datasets": 403}, r"does not let HF_TOKEN write to .* \(403\)"),
            ({"/api/datasets/people/conversations/commit": 400}, "refused the push"),
            ({"/api/datasets/people/conversations/commit": 500}, "status 500"),
            ({"/upload/": 403}, "did not take the push|does not let"),
        ],
    )
    def test_refusals(self, frozen: Snapshot, hub: FakeHub, refuse: dict[str, int], words: str) -> None:
        hub.refuse = refuse
        with pytest.raises(CommandError, match=words) as refused:
            self.push(hub)
        assert TOKEN not in str(refused.value)
        hub.refuse = {}
        assert "was pushed" in self.push(hub)

    def test_tokens_and_names(self, frozen: Snapshot, hub: FakeHub, settings: Any) -> None:
        with pytest.raises(CommandError, match="no name of a repository"):
            self.push(hub, repo="a b/c")
        settings.HF_TOKEN = "hf_wrong"
        with pytest.raises(CommandError, match="does not let HF_TOKEN write"):
            self.push(hub)
        settings.HF_TOKEN = ""
        with pytest.raises(CommandError, match="HF_TOKEN is not set"):
            self.push(hub)

    def test_a_hub_that_is_away(self, frozen: Snapshot, settings: Any) -> None:
        settings.HF_TOKEN = TOKEN
        with pytest.raises(CommandError, match="did not take the push"):
            run("snapshot_push", "2026.1", "--repo", "a/b", "--endpoint", "http://127.0.0.1:9")

    def test_a_retracted_one_is_not_pushed(self, frozen: Snapshot, hub: FakeHub) -> None:
        run("snapshot_retract", "2026.1", "--reason", "Why not.")
        with pytest.raises(CommandError, match="was retracted"):
            self.push(hub)
        assert hub.repositories == {}
