"""While somebody reviews a message, its conversation is shown to them nowhere else, whether it is a check or not."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.models import User
from tasks.kinds import Kind
from tasks.models import Task
from tests.factories import growing_tree, new_person
from tests.trees.exploring.finished import finished
from trees.models import Message, Report

pytestmark = pytest.mark.django_db
PAGES = ("tree", "message_text", "message_markdown", "message_label", "message_suggest")


def hold(person: User, message: Message, **fields: Any) -> Task:
    until = timezone.now() + timedelta(hours=1)
    kind = Kind.LABEL_INITIAL_PROMPT if message.parent_id is None else Kind.LABEL_ASSISTANT_REPLY
    return Task.objects.create(
        **{"user": person, "kind": kind, "lang": "en", "expires_at": until, **fields}, message=message
    )


@pytest.fixture
def reader(bob: User, client: Client) -> Client:
    client.force_login(bob)
    return client


@pytest.fixture
def both(alice: User) -> list[Message]:
    """A message of a finished conversation, as checks are about, and one that people are asked to review."""
    prompt = finished(alice, "Why does bread rise?", ("Yeast makes gas in the bread.",))
    return [Message.objects.get(parent=prompt), growing_tree(alice)]


def test_both_look_the_same(reader: Client, bob: User, both: list[Message]) -> None:
    tasks = [hold(bob, both[0], check_kind="gold"), hold(bob, both[1])]
    for message, task in zip(both, tasks, strict=True):
        for name in PAGES:
            for pk in (message.pk, message.tree_id):
                page = reader.get(reverse(name, args=[pk]))
                assert page.status_code == 409 and reverse("task", args=[task.pk]) in page.text, name
                assert message.text not in page.text
    pages = [reader.get("/explore/", query) for query in ({}, {"kind": "any"}, {"q": "bread", "lang": "en"})]
    for page in pages:
        assert not {row.id for row in page.context["page"].rows} & {pk for m in both for pk in (m.pk, m.tree_id)}
        assert "2 conversations in which you have an open review are not shown" in page.text


def test_a_report_neither_shows_it_nor_leads_away(reader: Client, bob: User, both: list[Message]) -> None:
    for message in both:
        task = reverse("task", args=[hold(bob, message).pk])
        address = reverse("message_report", args=[message.pk])
        refused = reader.post(address, {"category": "", "text": ""})
        assert refused.status_code == 409 and message.text not in refused.text and task in refused.text
        assert reader.post(address, {"category": "spam", "text": "An ad."})["Location"] == task
    assert Report.objects.count() == 2


def test_also_in_a_search_by_meaning(reader: Client, bob: User, both: list[Message], monkeypatch: Any) -> None:
    monkeypatch.setattr("trees.exploring.finding.can_compare_meaning", lambda lang: True)
    query = {"q": "bread", "lang": "en", "how": "meaning"}
    assert both[0].pk in {row.id for row in reader.get("/explore/", query).context["page"].rows}
    hold(bob, both[0])
    assert both[0].pk not in {row.id for row in reader.get("/explore/", query).context["page"].rows}


def test_afterwards_it_is_there_again(reader: Client, bob: User, both: list[Message]) -> None:
    task = hold(bob, both[0])
    for ended in ({"status": "done", "finished_at": timezone.now()}, {"status": "open", "expires_at": timezone.now()}):
        Task.objects.filter(pk=task.pk).update(**ended)
        assert reader.get(reverse("tree", args=[both[0].pk])).status_code == 200
        assert "is not shown" not in reader.get("/explore/").text


def test_other_conversations_and_other_people_see_nothing_of_it(reader: Client, bob: User, both: list[Message]) -> None:
    hold(bob, both[0])
    hold(bob, both[1], kind=Kind.ASSISTANT_REPLY)  # a text is no judgment of what is there
    assert reader.get(reverse("tree", args=[both[1].pk])).status_code == 200
    for one in (new_person("Carol"), new_person("Mo", role="moderator")):
        browser = Client()
        browser.force_login(one)
        assert browser.get(reverse("tree", args=[both[0].pk])).status_code == 200
    assert Client().get(reverse("tree", args=[both[0].pk])).status_code == 200


def test_moderators_read_everything(both: list[Message]) -> None:
    moderator = new_person("Mo", role="moderator")
    hold(moderator, both[0])
    browser = Client()
    browser.force_login(moderator)
    assert browser.get(reverse("tree", args=[both[0].pk])).status_code == 200
