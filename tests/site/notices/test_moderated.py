"""What authors hear of moderators' acts: what, why and what they can do; never who, and nothing of their own acts."""

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from oasst.accounts import account_bans
from oasst.accounts.models import User
from oasst.core.models import AuditEntry
from oasst.site.models import Notice
from oasst.site.notices import digests, queries
from oasst.site.notices.writing import read_outbox
from tests.factories import decide, growing_tree, new_person, new_reply, new_veterans
from trees.contributing import reactions, withdrawal
from trees.lifecycle.policy import TreePolicy
from trees.models import Deletion, Message, Proposal
from trees.moderation import auto_moderation, moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(goal_tree_size=12, max_tree_depth=3, max_children_count=8, auto_mod_red_flags=3)


@pytest.fixture
def prompt(bob: User) -> Message:
    return growing_tree(bob, POLICY)


@pytest.fixture
def reply(prompt: Message, alice: User) -> Message:
    return new_reply(prompt, alice, policy=POLICY)


def told(person: User) -> list[str]:
    """Read the outbox, and return what the person's page says of decisions, newest first."""
    read_outbox()
    return [entry.text for entry in queries.page_of(person.pk).entries if entry.kind == "moderated"]


def does(act: str, mo: User, **about: Any) -> None:
    getattr(moderator_actions, act)(actor=mo, reason="Look: https://a.example <b>", policy=POLICY, **about)


WHY = " The moderator wrote: “Look: https://a.example <b>”"


class TestAuthors:
    def test_removed_and_brought_back(self, reply: Message, alice: User, bob: User, mo: User) -> None:
        does("delete_message", mo, message_id=reply.pk)
        assert told(alice) == [f"A moderator removed your reply.{WHY}"]
        assert told(bob) == []
        entry = AuditEntry.objects.get()
        assert queries.page_of(alice.pk).entries[0].url == f"/me/decisions/{entry.pk}/"
        does("undelete", mo, deletion_id=Deletion.objects.get().pk)
        assert told(alice) == [f"A moderator brought your reply back.{WHY}"], "the newest about this text"

    def test_those_below_hear_that_but_not_why(
        self, prompt: Message, reply: Message, alice: User, bob: User, mo: User
    ) -> None:
        does("delete_message", mo, message_id=prompt.pk)
        assert told(bob) == [f"A moderator removed your prompt, and with it its conversation.{WHY}"]
        assert told(alice) == ["Your reply was removed, because a moderator removed a message above it."]

    def test_changed(self, reply: Message, alice: User, mo: User) -> None:
        does("edit_message", mo, message_id=reply.pk, text="Without the name.")
        assert told(alice) == [f"A moderator changed the text of your reply.{WHY}"]

    def test_stopped_and_going_on(self, prompt: Message, reply: Message, alice: User, bob: User, mo: User) -> None:
        does("halt", mo, tree_id=prompt.pk)
        assert told(bob)[0].startswith("The conversation that you began was stopped.") and told(alice) == []
        does("resume", mo, tree_id=prompt.pk)
        assert told(bob) == [f"The conversation that you began goes on.{WHY}"]

    def test_complaints_and_what_came_of_them(self, reply: Message, alice: User, mo: User) -> None:
        for person in new_veterans(3):
            reactions.report(message_id=reply.pk, reporter=person, category="spam")
        auto_moderation.moderate(message_id=reply.pk, policy=POLICY)
        assert told(alice) == ["Several people flagged your text. It is hidden until a moderator has looked at it."]
        does("dismiss", mo, proposal_id=Proposal.objects.get().pk)
        assert told(alice) == [f"A moderator looked at your reply, and everybody can read it again.{WHY}"]

    def test_hidden_and_kept(self, reply: Message, alice: User, mo: User) -> None:
        does("hide", mo, message_id=reply.pk)
        assert told(alice) == [f"Your reply is hidden. Only moderators can read it.{WHY}"]
        does("keep", mo, message_id=reply.pk)
        assert told(alice) == [f"A moderator looked at your reply, and everybody can read it again.{WHY}"]

    def test_moved(self, prompt: Message, reply: Message, alice: User, bob: User, mo: User) -> None:
        does("move_to_language", mo, tree_id=prompt.pk, lang="de")
        moved = "A moderator moved the conversation that you began to another language."
        assert told(bob) == [f"{moved}{WHY}"] and told(alice) == []

    def test_what_changes_nothing_is_not_told(self, reply: Message, alice: User, mo: User) -> None:
        does("keep", mo, message_id=reply.pk)
        assert told(alice) == []

    def test_reporters_hear_of_every_way_to_answer(self, reply: Message, bob: User, carol: User, mo: User) -> None:
        for person in (bob, carol):
            reactions.report(message_id=reply.pk, reporter=person, category="spam")
        does("keep", mo, message_id=reply.pk)
        read_outbox()
        for person in (bob, carol):
            (entry,) = [one for one in queries.page_of(person.pk).entries if one.kind == "report_settled"]
            assert entry.text.endswith("decided that it stays.")
            assert entry.url == reverse("reports"), "where the moderator's reason is"

    def test_nothing_of_ones_own_acts(self, prompt: Message, mo: User, bob: User) -> None:
        own = new_reply(prompt, mo, policy=POLICY)
        does("delete_message", mo, message_id=own.pk)
        assert told(mo) == [] and told(bob) == []

    def test_a_withdrawal_has_its_own_notice(self, reply: Message, alice: User, carol: User, mo: User) -> None:
        decide(reply, policy=POLICY)
        new_reply(reply, carol, policy=POLICY)
        withdrawal.withdraw(message_id=reply.pk, author=alice, policy=POLICY)
        does("grant_withdrawal", mo, withdrawal_id=reply.withdrawals.get().pk)
        assert told(alice) == []
        assert told(carol) == ["Your reply was removed, because a moderator removed a message above it."]

    def test_erased_words_are_not_told(self, reply: Message, alice: User, mo: User) -> None:
        from oasst.core.audit.erasing import erase_words_about

        does("delete_message", mo, message_id=reply.pk)
        erase_words_about(alice, actor=None)
        assert told(alice) == ["A moderator removed your reply."]


class TestUndone:
    def undo(self, mo: User) -> None:
        entry = AuditEntry.objects.filter(actor=mo).exclude(act="act.undo").order_by("-pk")[0]
        moderator_actions.undo(entry_id=entry.pk, actor=mo, reason="A slip.", policy=POLICY)

    def test_unread_it_is_taken_back(self, reply: Message, alice: User, mo: User) -> None:
        does("delete_message", mo, message_id=reply.pk)
        assert len(told(alice)) == 1
        self.undo(mo)
        assert told(alice) == [] and not Notice.objects.filter(kind="moderated").exists()

    @pytest.mark.parametrize("column", ["read_at", "mailed_at"])
    def test_who_heard_of_it_hears_that_too(self, reply: Message, alice: User, mo: User, column: str) -> None:
        does("delete_message", mo, message_id=reply.pk)
        read_outbox()
        Notice.objects.update(**{column: timezone.now()})
        self.undo(mo)
        assert told(alice) == ["A moderator took back what we told you about your text: it is as it was before."]
        read_outbox()
        assert Notice.objects.filter(kind="moderated").count() == 2


class TestMail:
    def test_suspended_people_get_it_too_but_nothing_else(
        self, prompt: Message, reply: Message, alice: User, mo: User
    ) -> None:
        does("delete_message", mo, message_id=reply.pk)
        read_outbox()
        Notice.objects.create(person=alice, kind="level_reached", level=2)
        account_bans.ban(alice, actor=mo, reason="Spam.")
        claimed = digests._claim(alice.pk, timezone.now())
        assert claimed is not None
        sent = claimed[0]
        assert "A moderator removed your reply." in sent.body and "level" not in sent.body
        html = str(sent.alternatives[0][0])
        assert "&lt;b&gt;" in html and 'href="https://a.example' not in html

    def test_the_statements_do_not_grow_with_people(
        self, prompt: Message, mo: User, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(5):
            new_reply(prompt, new_person(f"Writer {number}"), policy=POLICY)
        does("delete_message", mo, message_id=prompt.pk)
        with django_assert_max_num_queries(20):
            read_outbox()
        assert Notice.objects.filter(kind="moderated").count() >= 6
