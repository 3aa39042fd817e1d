"""The status page of the admin."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from leaderboard import cached_statistics
from oasst.accounts.models import User
from tasks import assignment
from tasks.kinds import Kind
from tests.factories import growing_tree, new_prompt
from trees.lifecycle.policy import TreePolicy

pytestmark = pytest.mark.django_db
PAGE = "/admin/status/"


@pytest.fixture
def page(mo: User) -> Client:
    client = Client()
    client.force_login(mo)
    return client


def cells(html: str, language: str, table: int) -> list[str]:
    """Return the cells of the row of a language, without markup."""
    rows = re.findall(r"<tr>(.*?)</tr>", html.split("<tbody>")[table], re.S)
    row = next(row for row in rows if f">{language}</th>" in row)
    return [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in re.findall(r"<td.*?</td>", row, re.S)]


def test_open_work_by_language_and_kind(page: Client, alice: User, bob: User) -> None:
    new_prompt(alice, lang="de")
    new_prompt(alice)
    assignment.request_task(user=bob, lang="en", kind=Kind.LABEL_INITIAL_PROMPT, policy=TreePolicy())
    html = page.get(PAGE).text
    assert cells(html, "English", 1) == ["2 (1)", "0", "0", "0", "0", "0", "0", "2"]
    assert cells(html, "German", 1)[0] == "2"


def test_conversations_by_language_and_state(page: Client, alice: User) -> None:
    assert "Nothing was counted yet" in page.get(PAGE).text
    growing_tree(alice, lang="de")
    new_prompt(alice)
    cached_statistics.refresh(["message_trees_states_by_lang"])
    html = page.get(PAGE).text
    assert cells(html, "German", 2)[-1] == cells(html, "English", 2)[-1] == "1"
    assert '<svg viewBox="' in html and "Growing" in html
    link = f"{reverse('admin:trees_messagetree_changelist')}?state=growing&amp;lang=de"
    assert f'href="{link}"' in html
    listed = page.get(link.replace("&amp;", "&"))
    assert listed.status_code == 200 and listed.context["cl"].result_list.count() == 1


def test_it_costs_the_same_with_ten_times_the_languages(page: Client, alice: User) -> None:
    def statements() -> int:
        cached_statistics.refresh(["message_trees_states_by_lang"])
        page.get(PAGE)
        with CaptureQueriesContext(connection) as captured:
            page.get(PAGE)
        return len(captured)

    new_prompt(alice)
    few = statements()
    for lang in ("de", "fr", "es", "it", "pt", "nl", "pl", "ru", "uk"):
        new_prompt(alice, lang=lang)
    assert statements() == few <= 6


def test_contributors_do_not_see_it(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.get(PAGE).status_code == 403
    assert Client().get(PAGE)["Location"].startswith("/accounts/login/")
