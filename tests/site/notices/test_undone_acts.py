"""What a moderator undoes is not told any more, unless somebody has read it."""

import pytest
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.models import AuditEntry
from oasst.site.models import Notice
from oasst.site.notices import bell, queries
from oasst.site.notices.writing import read_outbox
from tests.factories import new_prompt
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.models import Report
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()


@pytest.fixture
def report(alice: User, bob: User) -> Report:
    return reactions.report(message_id=new_prompt(alice).pk, reporter=bob, category="spam")


def settle(report: Report, mo: User) -> None:
    moderator_actions.settle_report(
        report_id=report.pk, actor=mo, status="dismissed", outcome="It is fine.", policy=POLICY
    )


def undo(mo: User) -> None:
    entry = AuditEntry.objects.order_by("-pk")[0]
    moderator_actions.undo(entry_id=entry.pk, actor=mo, reason="A slip.", policy=POLICY)


def test_an_unread_notice_is_taken_back(report: Report, bob: User, mo: User) -> None:
    settle(report, mo)
    read_outbox()
    assert Notice.objects.get().person == bob and bell.count_unread(bob.pk) == 1
    undo(mo)
    read_outbox()
    assert not Notice.objects.exists()
    settle(report, mo)
    read_outbox()
    assert Notice.objects.get().data == {"status": "dismissed"}, "the second time it is told again"


def test_also_if_both_are_told_at_once(report: Report, mo: User) -> None:
    settle(report, mo)
    undo(mo)
    read_outbox()
    assert not Notice.objects.exists()


@pytest.mark.parametrize("column", ["read_at", "mailed_at"])
def test_who_heard_of_it_hears_that_too(report: Report, bob: User, mo: User, column: str) -> None:
    settle(report, mo)
    read_outbox()
    Notice.objects.update(**{column: timezone.now()})
    undo(mo)
    read_outbox()
    first, second = Notice.objects.order_by("pk")
    assert (first.kind, second.kind, second.data["effect"]) == ("report_settled", "moderated", "undone")
    assert "took back the answer to your report" in queries.page_of(bob.pk).entries[0].text
