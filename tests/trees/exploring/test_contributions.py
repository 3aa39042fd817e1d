"""Search and filters in "My contributions"."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.models import User
from tests.factories import growing_tree, new_person, new_prompt, new_reply, review
from trees.models import Message

pytestmark = pytest.mark.django_db


def rows(person: User, **query: object) -> list[tuple[str, str]]:
    client = Client()
    client.force_login(person)
    response = client.get(reverse("contributions"), query)
    assert response.status_code == 200
    return [(row.kind, row.excerpt) for row in response.context["rows"]]


def test_words_language_kind_and_state(alice: User, bob: User) -> None:
    new_prompt(alice, "How are loaves of bread baked?")
    german = new_prompt(alice, "Wie werden gute Brote gebacken, und wie lange?", lang="de")
    prompt = growing_tree(bob)
    new_reply(prompt, alice, "Bake bread slowly.")
    others = new_prompt(new_person("Other"), "Is baking bread hard?")
    review(others, alice)
    assert rows(alice, q="baking", lang="en") == [
        ("review", "Is baking bread hard?"),
        ("reply", "Bake bread slowly."),
        ("prompt", "How are loaves of bread baked?"),
    ]
    assert rows(alice, q="baking", lang="en", kind="reply") == [("reply", "Bake bread slowly.")]
    assert rows(alice, lang="de") == [("prompt", german.text)]
    Message.objects.filter(pk=german.pk).update(review_result=True)
    assert rows(alice, state="accepted") == [("prompt", german.text)]
    assert len(rows(alice, state="in_review")) == 2
    assert rows(alice, q="quagmire") == [] and rows(alice, q="the") == []


def test_dates_and_what_is_gone(alice: User) -> None:
    prompt = new_prompt(alice, "A question about bread?")
    today = timezone.now().date().isoformat()
    assert rows(alice, since=today, until=today) == [("prompt", "A question about bread?")]
    assert rows(alice, until="2001-01-01") == []
    Message.objects.filter(pk=prompt.pk).update(deleted=True)
    assert rows(alice, state="gone") == [("prompt", "(removed)")]
    assert rows(alice, q="bread") == []  # a hit would reveal the words of a removed text


def test_pages_keep_the_search(alice: User) -> None:
    for number in range(25):
        new_prompt(alice, f"Bread number {number}?")
    client = Client()
    client.force_login(alice)
    first = client.get(reverse("contributions"), {"q": "bread", "lang": "en", "kind": "prompt"})
    second = client.get(first.context["next_url"])
    assert len(second.context["rows"]) == 5
    assert "q=bread" in second.context["previous_url"] and "lang=en" in second.context["previous_url"]


def test_statements(alice: User, django_assert_max_num_queries: Any) -> None:
    client = Client()
    client.force_login(alice)
    for numbers in (range(3), range(3, 30)):
        for number in numbers:
            new_prompt(alice, f"Bread number {number}?")
        with django_assert_max_num_queries(12):
            client.get(reverse("contributions"), {"q": "bread", "lang": "en"})


@pytest.mark.parametrize("query", ["state=odd", "kind=odd", "since=odd", "lang=odd", f"q={'x' * 501}", "older=odd"])
def test_bad_addresses(alice: User, query: str) -> None:
    client = Client()
    client.force_login(alice)
    assert client.get(f"{reverse('contributions')}?{query}").status_code == 400
