"""The pages about the data set: a user's contributions, one tree, reactions and reports."""

from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from oasst.accounts.models import User
from tests.factories import growing_tree, new_person, new_prompt, review, work_until_state
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, Reaction, Report

SOME_ID = "01a200cb-d12c-77e8-a0a9-86758d0c6514"

pytestmark = pytest.mark.django_db


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


class TestContributions:
    def test_pages_back_and_forth(self, alice: User) -> None:
        for number in range(45):
            new_prompt(alice, f"Question number {number:02}?")
        client = signed_in(alice)
        seen: list[int] = []
        url = reverse("contributions")
        pages = []
        while url:
            response = client.get(url)
            pages.append(response)
            seen += [int(row.excerpt[16:18]) for row in response.context["rows"]]
            url = response.context["next_url"]
        assert seen == list(range(44, -1, -1))
        assert len(pages) == 3
        back = client.get(pages[2].context["previous_url"])
        assert [row.excerpt for row in back.context["rows"]] == [row.excerpt for row in pages[1].context["rows"]]

    def test_what_became_of_it(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice, "Is this fine?")
        review(prompt, bob)
        review(prompt, new_person("Second"))
        rows = signed_in(alice).get(reverse("contributions")).context["rows"]
        assert [(row.kind, row.state, row.state_label) for row in rows] == [
            ("prompt", "accepted", "Waiting to be drawn")
        ]
        rows = signed_in(bob).get(reverse("contributions"), {"kind": "review"}).context["rows"]
        assert [(row.kind, row.excerpt) for row in rows] == [("review", "Is this fine?")]

    def test_what_was_removed_is_not_shown(self, alice: User, bob: User) -> None:
        """Neither to reviewers nor to the author (decision 57)."""
        prompt = new_prompt(alice, "Call me: 555 1234")
        review(prompt, bob)
        Message.objects.filter(pk=prompt.pk).update(deleted=True)
        for page in ("contributions", "dashboard"):
            for person in (bob, alice):
                shown = signed_in(person).get(reverse(page)).content.decode()
                assert "555 1234" not in shown and "(removed)" in shown

    @pytest.mark.parametrize(
        "query",
        [
            *("older=rubbish", "older=2026-01-01~x", "kind=poem", "newer=~"),
            f"older=0001-01-01T00:00:00%2B23:59~{SOME_ID}",
            f"newer=9999-12-31T23:59:59-23:59~{SOME_ID}",
        ],
    )
    def test_bad_addresses(self, alice: User, query: str) -> None:
        assert signed_in(alice).get(f"{reverse('contributions')}?{query}").status_code == 400


class TestTreePage:
    def test_everything_below_each_other(self, alice: User, bob: User) -> None:
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, policy)
        page = signed_in(bob).get(reverse("tree", args=[prompt.pk]))
        html = page.content.decode()
        assert html.count('data-testid="message"') == 4
        assert "In the data set" in html and "place 1" in html
        assert "Drawn by lot." in html

    def test_deleted_messages_are_for_moderators(self, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice)
        Message.objects.filter(pk=prompt.pk).update(deleted=True)
        url = reverse("tree", args=[prompt.pk])
        assert signed_in(bob).get(url).status_code == 404
        assert signed_in(mo).get(url).status_code == 200

    def test_no_such_message(self, bob: User) -> None:
        assert signed_in(bob).get(reverse("tree", args=[uuid4()])).status_code == 404


class TestReactions:
    def test_numbers_are_for_those_who_gave_theirs(self, alice: User, bob: User, carol: User) -> None:
        prompt = new_prompt(alice)
        tree, react = reverse("tree", args=[prompt.pk]), reverse("message_react", args=[prompt.pk])
        response = signed_in(bob).post(react, {"emoji": "+1"})
        assert response.headers["Location"] == f"{tree}#message-{prompt.pk}"
        thumbs = {person: signed_in(person).get(tree).context["root"].thumbs for person in (alice, bob, carol)}
        assert (thumbs[bob].mine, thumbs[bob].up, thumbs[bob].down) == ("+1", 1, 0)
        assert (thumbs[alice].up, thumbs[alice].may_give) == (1, False)
        assert (thumbs[carol].up, thumbs[carol].mine, thumbs[carol].may_give) == (None, "", True)

    def test_the_same_button_takes_it_back(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        client = signed_in(bob)
        for _ in range(2):
            client.post(reverse("message_react", args=[prompt.pk]), {"emoji": "-1"})
        assert not Reaction.objects.exists()

    def test_refusals(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        react = reverse("message_react", args=[prompt.pk])
        assert signed_in(bob).post(react, {"emoji": "_skip_reply"}).status_code == 400
        assert signed_in(bob).post(reverse("message_react", args=[uuid4()]), {"emoji": "+1"}).status_code == 404
        assert signed_in(bob).get(react).status_code == 405
        assert Client().post(react, {"emoji": "+1"}).status_code == 302
        assert not Reaction.objects.exists()


class TestReports:
    def test_a_refused_report_keeps_its_words(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        text = "\n  It says: " + "😀" * 2_003
        response = signed_in(bob).post(
            reverse("message_report", args=[prompt.pk]), {"category": "copied", "text": text}
        )
        page = response.content.decode()
        assert response.status_code == 400 and not Report.objects.exists()
        assert "This is 2,014 characters; 14 too many (at most 2,000 fit)." in page
        assert f">\n{text}</textarea>" in page and '<details class="report" open>' in page
        checked = [line for line in page.splitlines() if 'name="category"' in line and "checked" in line]
        assert len(checked) == 1 and 'value="copied"' in checked[0]

    def test_a_zero_width_space_says_nothing(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        url = reverse("message_report", args=[prompt.pk])
        signed_in(bob).post(url, {"category": "copied", "text": "\u200b"})
        assert Report.objects.get().text == ""

    def test_it_works(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        client = signed_in(bob)
        client.post(
            reverse("message_report", args=[prompt.pk]), {"category": "copied", "text": "From a textbook, page 3."}
        )
        report = Report.objects.get()
        assert (report.reporter, report.category, report.text) == (bob, "copied", "From a textbook, page 3.")
        assert report.revision_id == prompt.revision_id
        page = client.get(reverse("tree", args=[prompt.pk])).content.decode()
        assert "You reported this." in page and "A moderator will look at it" in page

    def test_a_category_is_needed(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        response = signed_in(bob).post(reverse("message_report", args=[prompt.pk]), {"text": "bad"})
        assert response.status_code == 400
        assert not Report.objects.exists()
