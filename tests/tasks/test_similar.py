"""Who writes a prompt is told once which prompts are similar, and is never stopped."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse

from inference.engine import encoders, tiny
from oasst.accounts.models import User
from tests.factories import growing_tree, new_prompt
from tests.tasks.test_languages import filled_in, send
from tests.tasks.test_pages import signed_in, take, task_at
from tests.trees.enrichment.test_near_duplicates import BREAD, BREAD_AGAIN, read_all
from trees.enrichment import embeddings, near_duplicates
from trees.models import Message
from trees.policies.reading import current_policy

pytestmark = pytest.mark.django_db
HINT = "People asked something like this before."


@pytest.fixture
def bread(bob: User) -> Message:
    prompt = new_prompt(bob, BREAD)
    read_all()
    return prompt


def look(client: Client, url: str, text: str) -> Any:
    return client.post(f"{url}similar/", {"text": text})


class TestWithoutScript:
    def test_the_hint_comes_once_and_the_same_button_sends(self, alice: User, bread: Message) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        page = send(client, url, BREAD_AGAIN)
        assert HINT in page and "Not sent yet" in page and reverse("tree", args=[bread.pk]) in page
        assert Message.objects.count() == 1
        assert not send(client, url, **filled_in(page))
        assert Message.objects.count() == 2

    def test_another_text_is_stored_at_once(self, alice: User, bread: Message) -> None:
        client = signed_in(alice)
        assert not send(client, take(client, "initial_prompt"), "Give me a joke about cats, please.")

    def test_a_reply_is_never_asked_about(self, alice: User, bread: Message, bob: User) -> None:
        growing_tree(bob)
        client = signed_in(alice)
        url = take(client, "assistant_reply")
        assert not send(client, url, BREAD_AGAIN)

    def test_the_mark_stays_out_of_the_draft(self, alice: User, bread: Message) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        client.post(f"{url}draft/", {"text": "So far", "similar_seen": "1"})
        assert task_at(url).draft.body == {"text": "So far"}

    def test_a_search_that_fails_stops_nobody(
        self, alice: User, bread: Message, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: object) -> None:
            raise DatabaseError("canceling statement due to statement timeout")

        monkeypatch.setattr(near_duplicates, "same_wording", fail)
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        assert HINT not in look(client, url, BREAD_AGAIN).content.decode()
        assert not send(client, url, BREAD_AGAIN)

    def test_a_model_that_fails_stops_nobody(
        self, alice: User, bread: Message, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(text: str) -> None:
            raise RuntimeError("out of memory")

        monkeypatch.setattr(embeddings, "embed_now", fail)
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        page = send(client, url, BREAD_AGAIN)
        assert HINT in page  # of the same wording
        assert not send(client, url, **filled_in(page))

    def test_a_text_that_is_too_long_is_not_looked_up(
        self, alice: User, bread: Message, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked_up: list[str] = []
        monkeypatch.setattr(embeddings, "embed_now", looked_up.append)
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        long = BREAD_AGAIN + " x" * current_policy().message_size_limit
        assert send(client, url, long) and look(client, url, long).status_code == 200
        assert looked_up == []

    def test_switched_off(self, alice: User, bread: Message, settings: LazySettings) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        assert "data-similar-url" in client.get(url).text
        settings.OASST_SCORING = False
        assert "data-similar-url" not in client.get(url).text
        assert HINT not in look(client, url, BREAD_AGAIN).content.decode()
        assert not send(client, url, BREAD_AGAIN)


class TestWhileWriting:
    def test_the_hint_says_that_it_was_seen(self, alice: User, bread: Message) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        page = look(client, url, BREAD_AGAIN).content.decode()
        assert HINT in page and "Not sent yet" not in page and BREAD in page
        assert filled_in(f"<textarea>\n</textarea>{page}")["similar_seen"] == "1"
        assert not send(client, url, BREAD_AGAIN, similar_seen="1")

    def test_by_meaning(self, alice: User, bob: User, settings: LazySettings, tmp_path: Path) -> None:
        settings.OASST_EMBEDDINGS = str(tmp_path)
        tiny.make_encoder(tmp_path)
        encoders.load_embedder(tmp_path)
        new_prompt(bob, BREAD)
        read_all()
        client = signed_in(alice)
        page = look(
            client, take(client, "initial_prompt"), "At home in an ordinary oven: how do I bake good sourdough bread?"
        )
        assert HINT in page.content.decode()

    @pytest.mark.parametrize("text", ["", "   ", "\0", "bread", "x" * 100_000])
    def test_nothing_similar(self, text: str, alice: User, bread: Message) -> None:
        client = signed_in(alice)
        response = look(client, take(client, "initial_prompt"), text)
        assert response.status_code == 200 and HINT not in response.content.decode()

    def test_texts_are_escaped(self, alice: User, bob: User) -> None:
        new_prompt(bob, f"{BREAD} <script>")
        read_all()
        client = signed_in(alice)
        page = look(client, take(client, "initial_prompt"), BREAD_AGAIN).content.decode()
        assert HINT in page and "<script>" not in page

    def test_not_for_strangers_and_not_too_often(self, alice: User, eve: User, bread: Message) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        assert look(signed_in(eve), url, BREAD_AGAIN).status_code == 404
        assert look(Client(), url, BREAD_AGAIN).status_code == 302
        assert {look(client, url, "x").status_code for _ in range(61)} == {200, 429}
