"""The file with a person's own data: all of it, nothing of others, no secrets, and only for its owner."""

import io
import json
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.models import ManyToOneRel
from django.test import Client
from django.test.utils import CaptureQueriesContext

from inference.models import Chat, ChatMessage
from oasst.accounts import account_bans, tokens
from oasst.accounts.authentication.proof import RECENT_SECONDS
from oasst.accounts.models import User
from oasst.site.own_data import archive, contents
from oasst.site.own_data.contents import ELSEWHERE, PARTS
from tests.factories import PASSWORD, decide, growing_tree, new_prompt, rank, review, work_until_state
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import RANKING_WORK, State
from trees.models import Message, Review

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    return client


def download(client: Client) -> dict[str, Any]:
    """Return the content of each file of the archive."""
    response: Any = client.get("/me/data/file/")
    assert response.status_code == 200 and response["Content-Type"] == "application/zip"
    return unpack(response.streaming_content)


def unpack(chunks: Iterator[bytes]) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(b"".join(chunks))) as file:
        assert file.testzip() is None
        texts = {name: file.read(name).decode() for name in file.namelist()}
    return {name: json.loads(text) if name.endswith(".json") else text for name, text in texts.items()}


class TestContents:
    def test_what_a_person_did(self, browser: Client, alice: User, bob: User, policy: TreePolicy) -> None:
        own = new_prompt(alice, "Why is the sky blue?")
        decide(own)
        theirs = new_prompt(bob, "What only Bob wrote")
        review(theirs, alice)
        reactions.report(message_id=theirs.pk, reporter=alice, category="spam", text="Looks like junk.")
        Message.objects.filter(pk=own.pk).update(deleted=True)
        chat = Chat.objects.create(user=alice, title="About bread")
        ChatMessage.objects.create(chat=chat, role="prompter", content="How long does dough rest?")
        found = download(browser)
        assert found["profile.json"]["email"] == alice.email
        assert [row["text"] for row in found["messages.json"]] == ["Why is the sky blue?"], "also when it was removed"
        assert found["messages.json"][0]["review_result"] is True and found["messages.json"][0]["deleted"] is True
        assert {row["message_id"] for row in found["reviews.json"]} == {str(theirs.pk)}
        assert found["reports.json"][0]["text"] == "Looks like junk."
        assert [row["content"] for row in found["chat_messages.json"]] == ["How long does dough rest?"]
        assert found["sessions.json"] and found["consents.json"][0]["document"] == "terms"
        assert "What only Bob wrote" not in json.dumps(found)
        assert set(found) == {"README.txt", "profile.json", "sessions.json", *(f"{part.name}.json" for part in PARTS)}

    def test_no_secrets(self, browser: Client, alice: User) -> None:
        token, secret = tokens.create_token(alice, name="notebook", days=None)
        alice.refresh_from_db()
        words = json.dumps(download(browser))
        assert '"notebook"' in words
        for hidden in (secret, token.digest, token.prefix, alice.password, browser.session.session_key):
            assert hidden not in words
        plain = {"notices", "notice_settings"}  # what was told of texts, and how often mails are wanted
        columns = {column for part in PARTS if part.name not in plain for column in part.columns}
        columns |= set(contents.PROFILE)
        assert not columns & {"digest", "password", "session_key", "data", "notes", "text_digest", "name_skeleton"}

    def test_a_check_looks_like_a_review(self, browser: Client, alice: User, bob: User) -> None:
        done = review(new_prompt(bob), alice)
        Review.everything.filter(pk=done.pk).update(kind=Review.Kind.GOLD)
        assert [row["kind"] for row in download(browser)["reviews.json"]] == ["review"]

    def test_every_table_that_names_a_person_is_in_it_or_says_why_not(self, alice: User) -> None:
        covered = {part.rows(alice).model for part in PARTS}
        missing = set()
        for relation in User._meta.get_fields(include_hidden=True):
            if isinstance(relation, ManyToOneRel):
                name = f"{relation.related_model._meta.label}.{relation.field.name}"
                if name not in ELSEWHERE and relation.related_model not in covered:
                    missing.add(name)
        assert missing == set(), "add a part to oasst.site.own_data.contents, or say there why not"


class TestWriting:
    def test_ten_times_the_rows_take_the_same_statements(self, alice: User) -> None:
        def statements() -> int:
            with CaptureQueriesContext(connection) as queries:
                unpack(archive.archive(alice, []))
            return len(queries)

        new_prompt(alice)
        few = statements()
        for _ in range(10):
            new_prompt(alice)
        assert statements() == few

    def test_it_is_sent_in_pieces(self, alice: User, monkeypatch: Any) -> None:
        monkeypatch.setattr(archive, "CHUNK_BYTES", 100)
        monkeypatch.setattr(archive, "BATCH", 2)
        prompts = [new_prompt(alice) for _ in range(7)]
        chunks = list(archive.archive(alice, []))
        assert len(chunks) > 3
        found = unpack(iter(chunks))
        assert [row["id"] for row in found["messages.json"]] == sorted(str(prompt.pk) for prompt in prompts)


class TestAccess:
    def test_the_page_leads_to_the_file(self, browser: Client) -> None:
        page = browser.get("/me/data/").text
        assert 'href="/me/data/file/"' in page and "your rankings, best first" in page
        assert 'href="/me/data/"' in browser.get("/me/").text

    def test_it_asks_for_a_fresh_proof(self, browser: Client) -> None:
        session = browser.session
        session["signed_in_at"] = time.time() - RECENT_SECONDS
        session.save()
        for path in ("/me/data/", "/me/data/file/"):
            assert browser.get(path)["Location"] == "/accounts/reauthenticate/?next=%2Fme%2Fdata%2F"

    def test_signed_out_there_is_none(self, client: Client) -> None:
        assert client.get("/me/data/file/")["Location"].startswith("/accounts/login/")

    def test_suspended_people_may_have_it(self, browser: Client, alice: User, mo: User) -> None:
        account_bans.ban(alice, actor=mo, reason="Spam.")
        assert browser.get("/me/data/").status_code == 200
        assert download(browser)["suspensions.json"][0]["reason"] == "Spam."

    def test_it_is_limited(self, browser: Client, settings: Any) -> None:
        settings.RATE_LIMITS, settings.LIMITS = True, {"own_data": "1 per day"}
        download(browser)
        assert browser.get("/me/data/file/").status_code == 429

    def test_head_makes_no_file(self, browser: Client) -> None:
        assert browser.head("/me/data/file/").content == b""


def test_rankings_are_in_it(browser: Client, alice: User, bob: User) -> None:
    prompt = growing_tree(bob)
    work_until_state(prompt.pk, State.RANKING)
    parent = Message.objects.filter(openings__work__in=RANKING_WORK).order_by("id")[0]
    done = rank(parent, alice)
    (row,) = download(browser)["rankings.json"]
    assert row["message_id"] == str(parent.pk) and row["ordered_ids"] == [str(one) for one in done.ordered_ids]
