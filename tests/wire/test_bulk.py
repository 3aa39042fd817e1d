"""Bulk reads: messages by id, and the data set as a stream."""

import gzip
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
import requests
from django.db import connection
from django.test.utils import CaptureQueriesContext

from oasst.accounts.models import User
from oasst.api import streams
from tests.crash.processes import Site, wait_until
from tests.factories import delete, growing_tree, new_people, new_prompt, work_until_state
from tests.wire.conftest import Wire, code_of, person, problems
from trees.interchange.selection import Selection
from trees.interchange.writer import read_lines
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree

SMALL = TreePolicy(goal_tree_size=3, max_tree_depth=1)


@pytest.mark.django_db
class TestMessages:
    def test_in_the_order_that_was_asked_for(self, bot: Wire, alice: User) -> None:
        first, second = new_prompt(alice), new_prompt(alice)
        delete(second)
        found = bot.get("messages/bulk", ids=f"{second.pk},{uuid4()}, {first.pk},{second.pk}").json()
        assert [one["id"] for one in found] == [str(second.pk), str(first.pk)]
        assert found[1] == bot.get(f"messages/{first.pk}").json()
        assert bot.get("messages/bulk", ids="").json() == []

    def test_a_hundred_at_most_and_one_statement(self, bot: Wire) -> None:
        def cost(number: int) -> int:
            ids = [str(new_prompt(one).pk) for one in new_people(number)]
            with CaptureQueriesContext(connection) as found:
                assert len(bot.get("messages/bulk", ids=",".join(ids)).json()) == number
            return len(found)

        cost(1)
        assert cost(1) == cost(10) == 2
        many = ",".join(str(uuid4()) for _ in range(101))
        assert problems(bot.get("messages/bulk", ids=many)) == {("query", "ids", "value_error.list.max_items")}
        assert problems(bot.get("messages/bulk", ids="x")) == {("query", "ids", "type_error.uuid")}
        assert problems(bot.get("messages/bulk")) == {("query", "ids", "value_error.missing")}


@pytest.mark.django_db
class TestExport:
    @pytest.fixture
    def finished(self, alice: User) -> Message:
        prompt = growing_tree(alice, SMALL)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, SMALL)
        return prompt

    def test_the_same_as_the_command(self, site: Wire, finished: Message) -> None:
        response = site.get("export/trees")
        assert response.status_code == 200
        lines = b"".join(response.streaming_content).decode().splitlines()
        assert lines == list(read_lines(Selection())) and len(lines) == 1
        assert json.loads(lines[0])["message_tree_id"] == str(finished.pk)

    def test_which(self, site: Wire, finished: Message, bob: User) -> None:
        new_prompt(bob, lang="de")

        def number(**query: Any) -> int:
            return len(b"".join(site.get("export/trees", **query).streaming_content).splitlines())

        assert number(state="all", include_rejected=True) == 2
        assert number(state="all", include_rejected=True, max_count=1) == 1
        assert number(state="all", include_rejected=True, lang="de") == 1
        assert number(lang="fr") == 0
        assert problems(site.get("export/trees", state="eaten")) == {("query", "state", "type_error.enum")}
        response = site.get("export/trees", include_deleted=True, deleted_only=True)
        assert code_of(response) == (400, 0)
        assert response.json()["message"] == "Either include_deleted or deleted_only, not both."

    def test_what_a_review_said_is_in_the_data_set(self, site: Wire, bot: Wire) -> None:
        """From the review that a client sends to the line that a client reads."""
        prompt = bot.write(person("Ada"), "What is a monad?", "prompt-1")
        task = bot.take(person("Bo"), "label_initial_prompt", "review-1")
        labels = {"spam": 0, "quality": 0.75, "humor": 0.25}
        body = {"message_id": task["message_id"], "task_id": task["id"], "text": "", "labels": labels}
        assert bot.interact(person("Bo"), "text_labels", **body).status_code == 200
        response = bot.post("messages/" + str(prompt.pk) + "/emoji", {"user": person("Bo"), "emoji": "+1", "op": "add"})
        assert response.status_code == 202
        (line,) = b"".join(
            site.get("export/trees", state="all", include_rejected=True, events=True).streaming_content
        ).splitlines()
        node = json.loads(line)["prompt"]
        assert node["labels"] == {name: {"value": value, "count": 1} for name, value in labels.items()}
        assert node["emojis"] == {"+1": 1}
        assert [event["emoji"] for event in node["events"]["emoji"]] == ["+1"]
        real = bot.get(f"messages/{prompt.pk}").json()["user_id"]
        assert real and real.encode() not in line
        (line,) = b"".join(
            site.get("export/trees", state="all", include_rejected=True, real_user_ids=True).streaming_content
        ).splitlines()
        assert json.loads(line)["prompt"]["user_id"] == real

    def test_for_trusted_programs(self, bot: Wire, finished: Message) -> None:
        assert code_of(bot.get("export/trees")) == (403, 2)

    def test_a_few_at_a_time(self, site: Wire) -> None:
        open_ones = [site.get("export/trees") for _ in range(streams.MAX_STREAMS)]
        response = site.get("export/trees")
        assert response.status_code == 503 and response["Retry-After"] == "30"
        for one in open_ones:
            list(one.streaming_content)
        assert list(site.get("export/trees").streaming_content) == []


# --- With a real server, at the pace of the client ---


@pytest.fixture
def live(transactional_db: None, tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.end()


def fill(trees: int, length: int) -> None:
    """Finished trees of one long message each."""
    author = new_people(1)[0]
    prompt = new_prompt(author)
    MessageTree.objects.update(state=State.READY_FOR_EXPORT)
    Message.objects.update(review_result=True, text="x" + " " * length)  # blanks are not indexed
    ids = {"tree": prompt.pk, "number": trees - 1}
    with connection.cursor() as cursor:
        for table, names in (("trees_messagetree", ("id", "number")), ("trees_message", ("id", "tree_id"))):
            cursor.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER'",
                [table],
            )
            columns = [name for (name,) in cursor.fetchall() if name not in (*names, "frontend_message_id")]
            own = {
                "trees_messagetree": "md5(n::text)::uuid, nextval('trees_messagetree_number')",
                "trees_message": "md5(n::text)::uuid, md5(n::text)::uuid",
            }[table]
            if table == "trees_message":
                names, own = (*names, "frontend_message_id"), f"{own}, n::text"
            cursor.execute(
                f"INSERT INTO {table} ({', '.join([*names, *columns])}) SELECT {own}, {', '.join(columns)} "
                f"FROM {table}, generate_series(1, %(number)s) n WHERE id = %(tree)s",
                ids,
            )


def backends() -> int:
    """Other open transactions in the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND xact_start IS NOT NULL"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.slow
class TestServer:
    TREES, LENGTH = 2_000, 50_000  # 100 MB

    def test_it_is_whole(self, live: Site) -> None:
        site = Wire("site", trusted=True)
        fill(300, 5_000)
        lines, sizes = list(read_lines(Selection())), []
        for wanted, given in {"gzip": "gzip", "identity": None}.items():
            headers = {"X-API-Key": site.key, "Accept-Encoding": wanted}
            address = f"{live.url}/api/v1/export/trees"
            with requests.get(address, headers=headers, timeout=60, stream=True) as answer:
                assert answer.headers["Content-Type"] == "application/x-ndjson"
                assert answer.headers.get("Content-Encoding") == given
                assert "Accept-Encoding" in answer.headers["Vary"]
                sent = answer.raw.read(decode_content=False)
            sizes.append(len(sent))
            assert (gzip.decompress(sent) if given else sent).decode().splitlines() == lines
        assert sizes[0] < sizes[1] / 2

    def test_a_slow_reader_costs_no_memory_and_one_who_leaves_no_connection(self, live: Site) -> None:
        site = Wire("site", trusted=True)
        fill(self.TREES, self.LENGTH)
        process = psutil.Process(live.web.child.pid)
        requests.get(f"{live.url}/api/v1/auth/check", timeout=60)
        before = process.memory_info().rss
        port = live.listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as reader:
            reader.sendall(
                f"GET /api/v1/export/trees HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {site.key}\r\n\r\n".encode()
            )
            assert reader.recv(1000).startswith(b"HTTP/1.1 200")
            read = 0
            while read < 10_000_000:
                read += len(reader.recv(1_000_000))
            time.sleep(3)  # as long as a server without backpressure needs for the rest
            assert backends() == 1
            assert process.memory_info().rss - before < 50_000_000
        wait_until(lambda: backends() == 0, 20, lambda: "the transaction of the export is still open")
        assert requests.get(f"{live.url}/api/v1/auth/check", timeout=60).status_code == 403
