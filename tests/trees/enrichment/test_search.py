"""Search by meaning finds what words do not, keeps what words find, and shows nobody what they may not read."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.urls import reverse

from inference.engine import encoders, tiny
from oasst.accounts.models import User
from tests.factories import growing_tree, new_person, new_prompt, new_reply
from tests.trees.enrichment.test_near_duplicates import read_all
from trees.access import visible_messages
from trees.enrichment.search import rank_by_meaning
from trees.models import Message
from trees.word_search import find_query

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-encoder"
    tiny.make_encoder(folder)
    encoders.load_embedder(folder)
    return folder


@pytest.fixture
def with_model(model: Path, settings: LazySettings) -> None:
    settings.OASST_EMBEDDINGS = str(model)


def found(reader: User | None, text: str, lang: str = "en") -> list[str]:
    messages = visible_messages(reader, Message.objects.filter(lang=lang))
    ids = rank_by_meaning(messages, text, lang, find_query(text, lang))
    texts = dict(messages.filter(pk__in=ids).values_list("pk", "text"))
    return [texts[pk] for pk in ids]


def test_words_in_any_form_and_without_a_model(alice: User) -> None:
    new_prompt(alice, "Which loaves are baked in the morning?")
    new_prompt(alice, "Which stars can I see tonight?")
    assert found(alice, "baking a loaf in the morning") == []
    assert found(alice, "morning baking") == ["Which loaves are baked in the morning?"]


def test_meaning_finds_more_and_both_together_come_first(alice: User, with_model: None) -> None:
    root = growing_tree(alice)
    texts = ["Sourdough bread needs a hot oven.", "A hot oven is good for bread made of sourdough.", "Cats sleep."]
    new_prompt(alice, texts[0])
    for text in texts[1:]:
        new_reply(root, new_person("Someone"), text)
    read_all()
    results = found(alice, "hot oven sourdough")
    assert set(results[:2]) == set(texts[:2]) and results.index(texts[2]) >= 2


def test_nobody_finds_what_they_may_not_read(alice: User, mo: User, with_model: None) -> None:
    hidden, public = new_prompt(alice, "Bread in the oven"), new_prompt(alice, "Bread in the oven, again")
    Message.objects.filter(pk=hidden.pk).update(hidden=True)
    read_all()
    for reader in (None, alice):
        assert found(reader, "Bread in the oven") == [public.text]
    assert set(found(mo, "Bread in the oven")) == {public.text, hidden.text}


def test_of_one_language(alice: User, with_model: None) -> None:
    new_prompt(alice, "Bread in the oven", lang="en")
    new_prompt(alice, "Brot im Ofen backen", lang="de")
    read_all()
    assert found(alice, "Brot backen", "de") == ["Brot im Ofen backen"]


@pytest.mark.parametrize("text", ["", "  ", "\0", "'", "\\'", "a & ! | (", "%", "\ud800x", "the", "x " * 5_000, "🍞"])
def test_odd_questions(text: str, alice: User, with_model: None) -> None:
    new_prompt(alice, "Bread in the oven")
    read_all()
    assert isinstance(found(alice, text), list)


def test_the_nearest_vectors_come_from_the_index(alice: User, with_model: None) -> None:
    new_prompt(alice)
    read_all()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        for is_prompt, index in (("is_prompt", "embedding_prompts"), ("NOT is_prompt", "embedding_replies")):
            cursor.execute(
                f"EXPLAIN SELECT message_id FROM trees_messageembedding WHERE {is_prompt} "
                "ORDER BY vector <=> (SELECT vector FROM trees_messageembedding LIMIT 1) LIMIT 5"
            )
            assert index in str(cursor.fetchall())


def test_a_page_costs_the_same_however_many_texts(
    alice: User, with_model: None, django_assert_max_num_queries: Any
) -> None:
    client = Client()
    client.force_login(alice)
    query = {"q": "bread in the oven", "lang": "en", "how": "meaning", "kind": "any"}
    client.get(reverse("explore"), query)  # the header asks for points and notices once a minute
    for number in (2, 20):
        for _ in range(number):
            new_prompt(new_person("Writer"), f"Bread in the oven, for the {Message.objects.count()}th time")
        read_all()
        with django_assert_max_num_queries(11 + 2):  # includes the savepoint of the test
            page = client.get(reverse("explore"), query)
        assert len(page.context["page"].rows) >= number - 2


class TestAdmin:
    def test_the_search_of_messages_has_it_as_an_option(self, mo: User, alice: User, with_model: None) -> None:
        new_prompt(alice, "Bread that was baked in an oven")
        new_prompt(alice, "Why do cats sleep?")
        read_all()
        client = Client()
        client.force_login(mo)
        page = client.get(reverse("admin:trees_message_changelist"), {"q": "baking oven breads", "by": "meaning"}).text
        assert page.index("Bread that was baked") < page.index("Why do cats sleep?")
        words = client.get(reverse("admin:trees_message_changelist"), {"q": "baking oven breads"}).text
        assert "Bread that was baked" in words and "Why do cats sleep?" not in words
        only = {"q": "baking oven breads", "by": "meaning", "review": "accepted"}
        assert "Bread that was baked" not in client.get(reverse("admin:trees_message_changelist"), only).text
        nothing = client.get(reverse("admin:trees_message_changelist"), {"by": "meaning"})
        assert nothing.status_code == 200

    def test_without_a_model_it_says_that_only_words_were_searched(
        self, mo: User, alice: User, settings: LazySettings
    ) -> None:
        new_prompt(alice, "Which loaves are baked in the morning?")
        settings.OASST_EMBEDDINGS = "none"
        client = Client()
        client.force_login(mo)
        page = client.get(reverse("admin:trees_message_changelist"), {"q": "morning baking", "by": "meaning"}).text
        assert "Which loaves are baked" in page and "The search by meaning is off." in page
