"""Moderators see pairs of messages that say nearly the same, and decide about them with one click."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from oasst.accounts.models import User
from tests.factories import growing_tree, new_person, new_prompt, new_reply, state_of
from tests.trees.enrichment.test_near_duplicates import BREAD, BREAD_AGAIN, read_all
from trees.lifecycle.states import State
from trees.models import Message, NearDuplicate

pytestmark = pytest.mark.django_db
LIST = "/admin/trees/nearduplicate/"
Status = NearDuplicate.Status


@pytest.fixture
def browser(mo: User) -> Client:
    client = Client()
    client.force_login(mo)
    return client


@pytest.fixture
def prompts(alice: User, bob: User) -> tuple[Message, Message]:
    both = new_prompt(alice, BREAD), new_prompt(bob, BREAD_AGAIN)
    read_all()
    return both


def act(client: Client, action: str, reason: str = "Said before.") -> str:
    pair = NearDuplicate.objects.get()
    data = {"action": action, "reason": reason, "_selected_action": [str(pair.pk)]}
    return client.post(LIST, data, follow=True).text


def test_the_queue_and_its_card(browser: Client, prompts: tuple[Message, Message]) -> None:
    card = browser.get(reverse("admin:index")).text
    assert f"{LIST}?waits=yes" in card and "the later one says nearly the same as the earlier one" in card
    assert BREAD in browser.get(f"{LIST}?waits=yes").text, "the card counts what its list shows"
    page = browser.get(f"{LIST}?waits=prompts").text
    assert BREAD in page and BREAD_AGAIN in page
    assert BREAD not in browser.get(f"{LIST}?waits=replies").text
    page = browser.get(reverse("admin:trees_nearduplicate_change", args=[NearDuplicate.objects.get().pk])).text
    assert BREAD in page and BREAD_AGAIN in page and "different enough" in page


def test_dismiss(browser: Client, prompts: tuple[Message, Message]) -> None:
    act(browser, "dismiss")
    assert NearDuplicate.objects.get().status == Status.DISMISSED
    assert BREAD not in browser.get(f"{LIST}?waits=prompts").text


def test_stop_the_newer_conversation(browser: Client, prompts: tuple[Message, Message]) -> None:
    act(browser, "halt")
    assert NearDuplicate.objects.get().status == Status.REMOVED
    assert [state_of(prompt) for prompt in prompts] == [State.INITIAL_PROMPT_REVIEW, State.HALTED_BY_MODERATOR]


def test_delete_the_newer_of_two_replies(browser: Client, alice: User, bob: User) -> None:
    root = growing_tree(new_person("Dora"))
    long = "Take flour, water and salt, knead them for ten minutes, and let the dough rest for a whole night."
    first, second = new_reply(root, alice, long), new_reply(root, bob, long + " Bake it.")
    read_all()
    act(browser, "delete_newer")
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.deleted, second.deleted, NearDuplicate.objects.get().status) == (False, True, Status.REMOVED)


@pytest.mark.parametrize("action", ["halt", "delete_newer"])
def test_what_another_moderator_dismissed_meanwhile_stays(
    action: str, browser: Client, prompts: tuple[Message, Message]
) -> None:
    act(browser, "dismiss")
    assert "decided already" in act(browser, action)
    assert [state_of(prompt) for prompt in prompts] == [State.INITIAL_PROMPT_REVIEW] * 2
    assert not Message.objects.filter(deleted=True).exists()


def test_a_refusal_leaves_the_pair_open(browser: Client, prompts: tuple[Message, Message], alice: User) -> None:
    act(browser, "delete_newer", reason="")
    client = Client()
    client.force_login(alice)
    assert client.get(LIST).status_code == 403
    client.post(LIST, {"action": "dismiss", "reason": "x", "_selected_action": [str(NearDuplicate.objects.get().pk)]})
    assert NearDuplicate.objects.get().status == Status.OPEN and not Message.objects.filter(deleted=True).exists()


def test_statements_do_not_grow_with_the_pairs(browser: Client, prompts: tuple[Message, Message]) -> None:
    def statements() -> int:
        browser.get(LIST)
        with CaptureQueriesContext(connection) as queries:
            browser.get(LIST)
        return len(queries)

    few = statements()
    for number in range(8):
        new_prompt(new_person("Someone"), f"{BREAD} {number}")
    read_all()
    assert NearDuplicate.objects.count() > 8
    assert statements() == few
