"""The page with a person's own reports: what they said, where it stands, and the message as far as they may read it."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from inference.models import ChatReport
from oasst.accounts.models import User
from tests.factories import new_people, new_prompt
from tests.inference.conftest import chat_on  # noqa: F401
from tests.inference.talking import ask
from tests.page_text import without_tokens
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, Report
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def report(message: Message, by: User, text: str = "") -> Report:
    return reactions.report(message_id=message.pk, reporter=by, category="spam", text=text)


class TestMessages:
    def test_it_waits(self, browser: Client, alice: User, bob: User) -> None:
        prompt = new_prompt(bob, "Buy my watches")
        report(prompt, alice, "An advertisement.")
        page = browser.get("/me/reports/").text
        assert "Junk or advertising" in page and "A moderator will look at it" in page
        assert "An advertisement." in page and "Buy my watches" in page
        assert f'href="/messages/{prompt.pk}/#message-{prompt.pk}"' in page
        assert 'href="/me/reports/"' in browser.get("/me/").text

    @pytest.mark.parametrize(
        ("status", "words"), [(Report.Status.UPHELD, "You were right"), (Report.Status.DISMISSED, "The message stays")]
    )
    def test_it_was_answered(
        self, browser: Client, alice: User, bob: User, mo: User, policy: TreePolicy, status: Report.Status, words: str
    ) -> None:
        stored = report(new_prompt(bob), alice)
        moderator_actions.settle_report(
            report_id=stored.pk, actor=mo, status=status, outcome="Read it twice.", policy=policy
        )
        page = browser.get("/me/reports/").text
        shown = re.sub(r"<nav.*?</nav>", "", without_tokens(page), flags=re.S)
        assert words in page and "Read it twice." in page and "Mo" not in shown

    def test_a_removed_message_is_not_shown(
        self, browser: Client, alice: User, bob: User, mo: User, policy: TreePolicy
    ) -> None:
        prompt = new_prompt(bob, "Buy my watches")
        report(prompt, alice)
        moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="Spam.", policy=policy)
        page = browser.get("/me/reports/").text
        assert "Buy my watches" not in page and "(removed)" in page and f"/messages/{prompt.pk}/" not in page

    def test_only_ones_own(self, browser: Client, bob: User, carol: User) -> None:
        report(new_prompt(bob), carol, "Carol's words")
        page = browser.get("/me/reports/").text
        assert "Carol" not in page and "No reports" in page

    def test_older_ones_are_a_page_further(self, browser: Client, alice: User, bob: User) -> None:
        for number in range(23):
            report(new_prompt(bob), alice, f"Number {number}.")
        first = browser.get("/me/reports/")
        assert first.text.count('data-testid="report"') == 20 and "Number 22." in first.text
        second = browser.get(first.context["older_url"])
        assert second.text.count('data-testid="report"') == 3 and "Number 0." in second.text
        assert browser.get("/me/reports/?older=yesterday").status_code == 400
        assert browser.get("/me/reports/?of=nothing").status_code == 200

    def test_ten_times_the_rows_cost_the_same(self, browser: Client, alice: User, bob: User) -> None:
        def statements() -> int:
            with CaptureQueriesContext(connection) as captured:
                browser.get("/me/reports/")
            return len(captured)

        report(new_prompt(bob), alice)
        statements()
        few = statements()
        for writer in new_people(10):
            report(new_prompt(writer), alice)
        assert statements() == few <= 12


@pytest.mark.usefixtures("chat_on")
class TestAnswers:
    def test_of_the_assistant(self, browser: Client, alice: User) -> None:
        turn = ask(alice)
        stored = ChatReport.objects.create(message_id=turn.pk, user=alice, kind="offensive", reason="It was rude.")
        page = browser.get("/me/reports/?of=chat").text
        assert "Offensive" in page and "It was rude." in page and "A moderator will look at it" in page
        assert f'href="/chat/{turn.message.chat_id}/"' in page
        ChatReport.objects.filter(pk=stored.pk).update(resolved_at=timezone.now(), outcome="It was.")
        page = browser.get("/me/reports/?of=chat").text
        assert "Answered" in page and "It was." in page
        turn.message.chat.deleted_at = timezone.now()
        turn.message.chat.save()
        assert "(this chat is deleted)" in browser.get("/me/reports/?of=chat").text
