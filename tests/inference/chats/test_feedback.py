"""Feedback on answers."""

import pytest

from inference.chats import feedback
from inference.models import ChatReport, Vote
from oasst.accounts.models import User
from oasst.core.errors import Invalid
from tests.inference.talking import answered, ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("chat_on")]


class TestFeedback:
    def test_votes(self, alice: User) -> None:
        turn = answered(ask(alice))
        for score in (1, 1, -1):
            feedback.vote(user=alice, message_id=turn.pk, score=score)
        assert list(Vote.objects.values_list("score", flat=True)) == [-1]
        feedback.vote(user=alice, message_id=turn.pk, score=0)
        assert not Vote.objects.exists()
        with pytest.raises(Invalid):
            feedback.vote(user=alice, message_id=turn.pk, score=2)
        with pytest.raises(Invalid):
            feedback.vote(user=alice, message_id=turn.message.parent_id, score=1)  # type: ignore[arg-type]
        assert not Vote.objects.exists()

    def test_reports(self, alice: User) -> None:
        turn = answered(ask(alice))
        feedback.report(user=alice, message_id=turn.pk, kind="offensive", reason="It swears.")
        for kind, reason in (("rude", "x"), ("spam", " ")):
            with pytest.raises(Invalid):
                feedback.report(user=alice, message_id=turn.pk, kind=kind, reason=reason)
        assert ChatReport.objects.filter(resolved_at=None).count() == 1
