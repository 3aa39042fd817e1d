"""robots.txt and the sitemaps: published conversations, in files of a bounded size, the same for everybody."""

import re
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from oasst.accounts.models import User
from oasst.site import sitemaps
from tests.factories import new_prompt
from tests.trees.exploring.finished import finished
from trees.models import Message

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_is_cached(settings: Any) -> None:
    settings.PUBLIC_URL = "https://data.example.org"
    cache.clear()


def addresses(path: str) -> list[str]:
    response = Client().get(path)
    assert response.status_code == 200 and response["Content-Type"].startswith("application/xml")
    assert "Set-Cookie" not in response
    return re.findall("<loc>(.*?)</loc>", response.content.decode())


def test_the_index_names_a_file_for_each_part(alice: User) -> None:
    finished(alice, "Why does bread rise?")
    parts = addresses("/sitemap.xml")
    assert parts == [f"https://data.example.org/sitemap-{name}.xml" for name in sitemaps.SITEMAPS]
    assert addresses("/sitemap-snapshots.xml") == []


def test_every_page_of_it_is_open_to_everybody() -> None:
    pages = addresses("/sitemap-pages.xml")
    assert "https://data.example.org/" in pages and len(pages) > 15
    for page in pages:
        assert Client().get(page.removeprefix("https://data.example.org")).status_code == 200, page


def test_only_published_conversations(alice: User) -> None:
    shown, hidden = finished(alice, "Why does bread rise?"), finished(alice, "What nobody may read?")
    Message.objects.filter(pk=hidden.pk).update(hidden=True)
    new_prompt(alice, "Is this one in review?")
    assert addresses("/sitemap-conversations.xml") == [f"https://data.example.org/messages/{shown.pk}/"]


def test_in_files_of_a_bounded_size(alice: User, monkeypatch: Any, django_assert_max_num_queries: Any) -> None:
    monkeypatch.setattr(sitemaps.Conversations, "limit", 2)
    prompts = [finished(alice, f"Why does bread rise, {number}?") for number in range(5)]
    with django_assert_max_num_queries(6):
        parts = [part for part in addresses("/sitemap.xml") if "conversations" in part]
    assert parts == ["https://data.example.org/sitemap-conversations.xml"] + [
        f"https://data.example.org/sitemap-conversations.xml?p={page}" for page in (2, 3)
    ]
    with django_assert_max_num_queries(3 * 2):
        found = [addresses(f"/sitemap-conversations.xml?p={page}") for page in (1, 2, 3)][2]
    assert found == [f"https://data.example.org/messages/{prompts[-1].pk}/"]
    with django_assert_max_num_queries(0):
        addresses("/sitemap-conversations.xml?p=3")
    assert Client().get("/sitemap-conversations.xml?p=9").status_code == 404
    assert Client().get("/sitemap-nothing.xml").status_code == 404


@pytest.mark.parametrize("page", ["01", "+1", " 1", "1_0", "\u0661", "1.0", "0", "-1", "x", "", "1000000"])
def test_each_file_is_cached_under_one_address(page: str, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert Client().get("/sitemap-conversations.xml", {"p": page}).status_code == 404


def test_the_index_is_one_whatever_is_asked(django_assert_num_queries: Any) -> None:
    addresses("/sitemap.xml")
    with django_assert_num_queries(0):
        assert addresses("/sitemap.xml?p=2") == addresses("/sitemap.xml?p=anything") == addresses("/sitemap.xml")


def test_robots() -> None:
    text = Client().get("/robots.txt").content.decode()
    assert "Sitemap: https://data.example.org/sitemap.xml" in text
    disallowed = re.findall("Disallow: (.*)", text)
    assert {"/me/", "/tasks/", "/api/", "/explore/?"} <= set(disallowed)
    pages = [page.removeprefix("https://data.example.org") for page in addresses("/sitemap-pages.xml")]
    assert not [page for page in pages if page.startswith(tuple(disallowed))]
