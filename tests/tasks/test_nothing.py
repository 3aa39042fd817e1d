"""A user without work sees the cause, in numbers, and what would bring work."""

import html
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import Busy
from tasks import assignment, queries
from tasks.kinds import Kind
from tasks.models import Task
from tasks.queries import NoWork, explain_no_work
from tests.crowd import answer
from tests.factories import growing_tree, new_people, new_prompt, new_reply, review
from tests.tasks.test_pages import signed_in
from trees.lifecycle.policy import TreePolicy
from trees.models import Opening

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
KIND = Kind.LABEL_INITIAL_PROMPT


def why(person: User, kind: Kind = KIND, lang: str = "en") -> NoWork:
    """Return the explanation with which a request for this work is refused."""
    with pytest.raises(assignment.NothingToDo) as refused:
        assignment.request_task(user=person, lang=lang, kind=kind, policy=POLICY)
    nothing: NoWork = refused.value.details["nothing"]
    return nothing


def free_openings() -> int:
    return Opening.objects.filter(held_until=None).count()


def test_own_words(alice: User) -> None:
    new_prompt(alice)
    assert f"{free_openings()} about your own texts" in why(alice).text
    assert "another contributor" in why(alice).unlock


def test_judged_already(alice: User, bob: User) -> None:
    review(new_prompt(alice), bob)
    assert f"{free_openings()} about texts that you judged or answered already" in why(bob).text


def test_skipped(alice: User, bob: User) -> None:
    new_prompt(alice)
    task = assignment.request_task(user=bob, lang="en", kind=KIND, policy=POLICY)
    assignment.skip(task_id=task.pk, user=bob, policy=POLICY)
    assert f"{free_openings()} about texts that you skipped" in why(bob).text


def test_begun(alice: User, bob: User) -> None:
    new_prompt(alice)
    assignment.request_task(user=bob, lang="en", kind=KIND, policy=POLICY)
    nothing = why(bob)
    assert f"{free_openings()} among the tasks that you have begun" in nothing.text
    assert nothing.unlock.startswith("Finish or skip what you have begun.")


def test_several_at_once(alice: User, bob: User) -> None:
    new_prompt(bob)
    own = free_openings()
    review(new_prompt(alice), bob)
    text = why(bob).text
    assert f"{own} about your own texts" in text and f"{free_openings() - own} about texts that you judged" in text


def test_held_by_others(alice: User, bob: User, carol: User) -> None:
    new_prompt(alice)
    until = timezone.now() + timedelta(minutes=5)
    for number, one in enumerate(Opening.objects.all()):
        Opening.objects.filter(pk=one.pk).update(holder=carol, held_until=until, lease=alice.pk if number else bob.pk)
        if number:
            Opening.objects.filter(pk=one.pk).delete()
    assert why(bob).text == "1 person is working on it right now."


def test_nothing_of_this_kind(bob: User) -> None:
    assert why(bob, Kind.RANK_ASSISTANT_REPLIES).title == "Nothing of this kind is open"


def test_other_languages_of_the_person_are_named(alice: User) -> None:
    new_prompt(alice)
    new_prompt(new_people(1)[0], lang="de")
    assert "German" not in why(alice).unlock
    User.objects.filter(pk=alice.pk).update(contribution_languages=["en", "de", "fr"])
    alice.refresh_from_db()
    assert why(alice).unlock.endswith(f"Open in your other languages: German {free_openings() // 2}.")


def test_it_costs_the_same_for_any_number_of_places(alice: User) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as found:
            explain_no_work(alice, "en", POLICY, KIND)
        return len(found)

    new_prompt(alice)
    before = cost()
    for _ in range(10):
        new_prompt(alice)
    assert cost() == before <= 2


class TestOpenedDirectly:
    """The page says what pressing the button would do now."""

    def page(self, person: User, kind: Kind | None = None, lang: str = "en") -> str:
        client = signed_in(person)
        query = {"kind": kind.value if kind else "", "lang": lang}
        with CaptureQueriesContext(connection) as found:
            page: str = client.get(reverse("task_nothing"), query).content.decode()
        written = [one["sql"] for one in found if one["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
        assert [sql for sql in written if "session" not in sql] == []
        return page

    def agrees(self, person: User, kind: Kind | None = None, lang: str = "en") -> str:
        """Return the page after comparing it with the result of a request for this work."""
        page = self.page(person, kind, lang)
        try:
            task = assignment.request_task(user=person, lang=lang, kind=kind, policy=POLICY)
        except assignment.NothingToDo as error:
            nothing: NoWork = error.details["nothing"]
            assert all(words in html.unescape(page) for words in (nothing.title, nothing.text, nothing.unlock))
            assert 'data-testid="next-task"' not in page
            assert ('data-testid="other-task"' in page) == self.has_other_work(person, kind, lang)
        except Busy as error:
            assert error.code == "too_many_pending"
            assert "You have begun many tasks at once" in page and 'data-testid="next-task"' not in page
        else:
            assert "There is work for you" in page and 'data-testid="next-task"' in page
            assert "not for you" not in page and "Nobody needs" not in page
            assert kind is None or task.kind == kind
        return page

    def has_other_work(self, person: User, kind: Kind | None, lang: str) -> bool:
        return kind is not None and any(queries.availability(person, lang, POLICY).values())

    def test_other_work_is_one_click_away(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        page = self.page(bob, Kind.RANK_ASSISTANT_REPLIES)
        assert "Nothing of this kind is open" in page and 'data-testid="other-task"' in page
        assert '<input type="hidden" name="kind" value="random">' in page
        response = signed_in(bob).post(reverse("task_next"), {"kind": "random", "lang": "en"})
        assert response.headers["Location"] == reverse("task", args=[Task.objects.get().pk])

    @pytest.mark.parametrize("kind", [None, *Kind])
    def test_an_empty_language(self, alice: User, kind: Kind | None) -> None:
        self.agrees(alice, kind)

    @pytest.mark.parametrize("kind", [None, *Kind])
    def test_a_language_with_work(self, alice: User, bob: User, eve: User, kind: Kind | None) -> None:
        prompt = growing_tree(alice)
        new_reply(prompt, bob)
        new_prompt(alice)
        new_prompt(bob)
        for person in (alice, bob, eve):
            self.agrees(person, kind)

    def test_the_button_takes_what_the_page_says(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        client = signed_in(bob)
        assert "There is work for you" in self.page(bob, KIND)
        response = client.post(reverse("task_next"), {"kind": KIND.value, "lang": "en"})
        assert Task.objects.get().kind == KIND and response.headers["Location"].endswith(f"{Task.objects.get().pk}/")

    def test_the_last_is_mine(self, alice: User, bob: User) -> None:
        """The work is needed, but neither free nor held by another user."""
        new_prompt(alice)
        task = assignment.request_task(user=bob, lang="en", kind=KIND, policy=POLICY)
        Opening.objects.filter(held_until=None).delete()
        page = self.agrees(bob, KIND)
        assert (
            "You have begun everything that is open" in page and "1 task that you have begun is waiting for you" in page
        )
        assert reverse("task", args=[task.pk]) in page, "the way back to it"

    def test_one_person_who_holds_several_is_one(self, alice: User, bob: User, carol: User) -> None:
        until = timezone.now() + timedelta(minutes=5)
        for _ in range(2):
            new_prompt(alice)
        for one in Opening.objects.all():
            Opening.objects.filter(pk=one.pk).update(holder=carol, held_until=until, lease=uuid4())
        assert "1 person is working on it right now." in self.agrees(bob, KIND)

    def test_what_others_hold_of_my_own_words_is_not_for_me_when_they_leave(self, alice: User, carol: User) -> None:
        new_prompt(alice)
        until = timezone.now() + timedelta(minutes=5)
        for one in Opening.objects.all():
            Opening.objects.filter(pk=one.pk).update(holder=carol, held_until=until, lease=uuid4())
        page = self.agrees(alice, KIND)
        assert "When they finish, new tasks appear." in page

    def test_who_has_begun_many(self, alice: User, bob: User) -> None:
        for _ in range(queries.MAX_PENDING + 1):
            new_prompt(alice)
        for _ in range(queries.MAX_PENDING):
            assert "There is work for you" in self.agrees(bob, KIND)
        page = self.agrees(bob, KIND)
        assert "Finish or skip some of them first." in page and page.count("/tasks/") >= 5

    def test_openers_that_i_am_writing_myself(self, alice: User, bob: User) -> None:
        for _ in range(3):
            try:
                task = assignment.request_task(user=alice, lang="en", kind=Kind.INITIAL_PROMPT, policy=POLICY)
            except assignment.NothingToDo:
                break
        page = self.agrees(alice, Kind.INITIAL_PROMPT)
        assert reverse("task", args=[task.pk]) in page
        answer(task, POLICY)
        self.agrees(alice, Kind.INITIAL_PROMPT)

    def test_other_work_is_promised_only_where_there_is_some(self, alice: User) -> None:
        policy = replace(POLICY, max_prompt_lottery_waiting=0)
        nothing = explain_no_work(alice, "en", policy, Kind.RANK_ASSISTANT_REPLIES)
        assert (
            nothing.unlock == "It appears when other contributors have worked on their conversations. Look again later."
        )
        new_prompt(new_people(1)[0])
        nothing = explain_no_work(alice, "en", policy, Kind.RANK_ASSISTANT_REPLIES)
        assert nothing.unlock.startswith("Take any other task")
