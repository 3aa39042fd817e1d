"""Rows of several tables in one statement: they are as if each table had been asked."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.rows_together import read_together
from tests.factories import new_people, new_person, new_prompt, review
from trees.models import Message, Ranking, Review, Skip

pytestmark = pytest.mark.django_db


def test_rows_are_as_if_each_table_had_been_asked(alice: User) -> None:
    prompt = new_prompt(alice, "“Zitate” & \\ <b>")
    for person in new_people(2):
        review(prompt, person)
        ids = [prompt.pk, prompt.tree_id]
        Ranking.objects.create(parent=prompt, author=person, ordered_ids=ids, revision_ids=ids)
    tables = {
        "reviews": Review.objects.filter(message=prompt).order_by("-id"),
        "rankings": Ranking.objects.filter(parent=prompt).order_by("id")[:1],
        "skips": Skip.objects.filter(message=prompt),
        "messages": Message.objects.filter(pk=prompt.pk),
    }
    with CaptureQueriesContext(connection) as captured:
        found = read_together(Message.objects.filter(pk=prompt.pk), tables)
        names = [str(row.author) for row in (*found["reviews"], *found["rankings"], *found["messages"])]
    assert len(captured) == 2 and len(names) == 4
    for name, rows in tables.items():
        for row, asked in zip(found[name], rows, strict=True):
            loaded = [one.attname for one in row._meta.concrete_fields if one.attname not in row.get_deferred_fields()]
            assert {one: getattr(row, one) for one in loaded} == {one: getattr(asked, one) for one in loaded}
            assert row == asked and not row._state.adding and len(loaded) > 5


def test_times_are_exact_and_nothing_is_nothing(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(banned_until=timezone.now() + timedelta(microseconds=1))
    stranger = new_person("Eve")
    found = read_together(
        User.objects.filter(pk=alice.pk), {"both": User.objects.filter(pk__in=[alice.pk, stranger.pk]).order_by("pk")}
    )["both"]
    assert [one.banned_until for one in found] == [User.objects.get(pk=alice.pk).banned_until, None]
    assert read_together(User.objects.filter(pk=alice.pk), {}) == {}
