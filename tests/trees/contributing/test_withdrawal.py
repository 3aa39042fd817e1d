"""Authors withdraw texts: deleted at once, or hidden until a moderator decides, and left out of snapshots."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from leaderboard.scoring import credits_of
from oasst.accounts import account_bans, api_clients, closing, consent
from oasst.accounts.models import User
from oasst.core.errors import Conflict, Gone, NotAllowed, NotFound
from oasst.core.models import WaitingJob
from oasst.site import purging
from oasst.site.invariants import find_differences
from tasks import assignment, lottery, submission
from tasks.kinds import Kind
from tests.factories import (
    decide,
    growing_tree,
    new_people,
    new_person,
    new_prompt,
    new_reply,
    new_veterans,
    review,
    state_of,
    work_until_state,
)
from tests.wire.conftest import Wire
from trees.contributing import reactions, withdrawal
from trees.interchange.selection import Inclusion, Selection
from trees.interchange.writer import read_lines
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State, Work
from trees.models import (
    Deletion,
    Delivery,
    Happening,
    Message,
    MessageTree,
    Opening,
    Proposal,
    Purge,
    Webhook,
    Withdrawal,
)
from trees.moderation import auto_moderation, client_actions, complaint_weights, moderator_actions, notices
from trees.moderation.queries import waiting_withdrawals
from trees.outbox.webhooks import read_outbox
from trees.queries import WITHDRAWN_TEXT, contributions_of, get_tree_for

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
SMALL = TreePolicy(goal_tree_size=8, max_tree_depth=2, max_children_count=3)
Status = Withdrawal.Status


@pytest.fixture(autouse=True)
def _nothing_disagrees(db: None, settings: Any) -> Iterator[None]:
    settings.RATE_LIMITS = False
    yield
    # The factories call the services directly, without tasks.
    assert [one for one in find_differences(POLICY) if one.check != "answers_come_from_a_task"] == []


@pytest.fixture
def writer(db: None) -> User:
    return new_person("Writer")


@pytest.fixture
def reply(alice: User, writer: User) -> Message:
    """An accepted reply in a growing tree, without replies."""
    made = new_reply(growing_tree(alice), writer)
    decide(made)
    return fresh(made)


@pytest.fixture
def answered(reply: Message) -> Message:
    """The same, with an accepted reply of another author."""
    decide(new_reply(reply, new_person("Asker")))
    return reply


def fresh(message: Message) -> Message:
    return Message.objects.get(pk=message.pk)


def withdraw(message: Message, author: User | None = None, reason: str = "") -> Withdrawal:
    by = author or message.author
    assert by is not None
    return withdrawal.withdraw(message_id=message.pk, author=by, reason=reason, policy=POLICY)


def undo(message: Message) -> None:
    assert message.author is not None
    withdrawal.undo(message_id=message.pk, author=message.author, policy=POLICY)


def refuse(made: Withdrawal, mo: User, reason: str = "Others built on it.") -> None:
    moderator_actions.refuse_withdrawal(withdrawal_id=made.pk, actor=mo, reason=reason, policy=POLICY)


def grant(made: Withdrawal, mo: User) -> None:
    moderator_actions.grant_withdrawal(withdrawal_id=made.pk, actor=mo, reason="As you wish.", policy=POLICY)


def texts_in(lines: Iterator[str]) -> set[str]:
    found, waiting = set(), [json.loads(line)["prompt"] for line in lines]
    while waiting:
        node = waiting.pop()
        found.add(node["text"])
        waiting.extend(node["replies"])
    return found


def finished(alice: User, policy: TreePolicy = SMALL) -> list[Message]:
    """A tree of the data set: its messages, the prompt first."""
    prompt = growing_tree(alice, policy)
    work_until_state(prompt.pk, State.READY_FOR_EXPORT, policy)
    return list(Message.objects.filter(tree=prompt.pk).order_by("depth", "position"))


class TestNobodyReplied:
    def test_it_goes_at_once_and_its_place_is_free_for_another(self, reply: Message, bob: User) -> None:
        before = Opening.objects.filter(message=reply.parent, work=Work.ASSISTANT_REPLY).count()
        made = withdraw(reply)
        found = fresh(reply)
        assert (made.status, found.deleted, found.hidden, found.withdrawn) == (Status.GRANTED, True, False, True)
        assert Deletion.objects.get().actor == reply.author
        assert Opening.objects.filter(message=reply.parent, work=Work.ASSISTANT_REPLY).count() == before + 1
        assert not Opening.objects.filter(message=reply).exists()
        new_reply(found.parent or found, bob)

    def test_a_first_prompt_stops_its_conversation(self, alice: User) -> None:
        prompt = new_prompt(alice)
        withdraw(prompt)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        assert not Opening.objects.exists()
        waiting = new_prompt(alice)
        decide(waiting)
        withdraw(waiting)
        assert lottery.draw("en", POLICY) == 0

    def test_own_replies_below_go_too_and_deleted_ones_of_others_count_not(
        self, reply: Message, writer: User, mo: User
    ) -> None:
        other = new_reply(reply, new_person("Asker"))
        moderator_actions.delete_message(message_id=other.pk, actor=mo, reason="Spam.", policy=POLICY)
        own = new_reply(reply, writer)
        withdraw(reply)
        assert fresh(own).deleted
        assert set(Deletion.objects.get(message=reply).message_ids) == {reply.pk, own.pk}

    def test_who_is_working_on_it_hears_that_it_went(self, reply: Message, bob: User) -> None:
        task = assignment.request_task(user=bob, lang="en", kind=Kind.PROMPTER_REPLY, policy=POLICY)
        assert task.message_id == reply.pk
        withdraw(reply)
        assert not Opening.objects.filter(holder=bob).exists()
        with pytest.raises(Gone) as refusal:
            submission.submit_text(task_id=task.pk, user=bob, text="And how long?", policy=POLICY)
        assert refusal.value.code == "message_deleted"

    def test_nobody_brings_it_back(self, reply: Message, mo: User) -> None:
        withdraw(reply)
        site, _ = api_clients.create_api_client(name="website", trusted=True)
        for act in (
            lambda: moderator_actions.undelete(
                deletion_id=Deletion.objects.get().pk, actor=mo, reason="I liked it.", policy=POLICY
            ),
            lambda: moderator_actions.edit_message(
                message_id=reply.pk, actor=mo, text="Other words.", reason="Better.", policy=POLICY
            ),
            lambda: client_actions.undelete_message(reply.pk, site, None, POLICY),
        ):
            with pytest.raises(Conflict) as refusal:
                act()
            assert refusal.value.code == "withdrawn"
        with pytest.raises(Conflict):
            undo(reply)
        assert fresh(reply).deleted

    def test_sent_twice_it_is_one_withdrawal(self, reply: Message) -> None:
        assert withdraw(reply).pk == withdraw(reply).pk
        assert Deletion.objects.count() == Withdrawal.objects.count() == 1

    def test_the_points_are_taken_back(self, reply: Message) -> None:
        assert points_of(reply) > 0
        withdraw(reply)
        assert points_of(reply) == 0


def points_of(message: Message) -> int:
    _, credits = credits_of([message.tree_id])[message.tree_id]
    return sum(one.number for one in credits if one.person == message.author_id and one.message == message.pk)


class TestOthersReplied:
    def test_it_is_hidden_and_the_branch_stays_and_rests(self, answered: Message, mo: User) -> None:
        (below,) = Message.objects.filter(parent=answered)
        made = withdraw(answered, reason="I gave my address in it.")
        found = fresh(answered)
        assert (made.status, found.deleted, found.hidden, found.withdrawn) == (Status.OPEN, False, True, True)
        assert not fresh(below).deleted
        assert not Opening.objects.filter(message__in=[answered, below]).exists()
        assert state_of(answered) == State.GROWING
        assert waiting_withdrawals().count() == 1

    def test_its_reader_sees_that_it_was_withdrawn_and_not_what_it_said(
        self, answered: Message, bob: User, mo: User
    ) -> None:
        withdraw(answered)
        _, root = get_tree_for(bob, answered.pk)
        (turn,) = root.replies
        assert (turn.text, turn.state, turn.thumbs, len(turn.replies)) == (WITHDRAWN_TEXT, "withdrawn", None, 1)
        assert get_tree_for(mo, answered.pk)[1].replies[0].text == answered.text
        client = Client()
        client.force_login(bob)
        page = client.get(f"/messages/{answered.tree_id}/").text
        assert WITHDRAWN_TEXT in page
        assert answered.text not in page

    def test_its_author_sees_it_among_their_own(self, answered: Message, writer: User) -> None:
        withdraw(answered)
        (row,) = contributions_of(writer).rows
        assert (row.excerpt, row.state, row.may_withdraw) == (WITHDRAWN_TEXT, "withdrawn", True)
        assert row.url

    def test_a_withdrawn_prompt_leaves_the_page_of_its_conversation(self, answered: Message, bob: User) -> None:
        prompt = answered.parent
        assert prompt is not None
        withdraw(prompt)
        _, root = get_tree_for(bob, answered.pk)
        assert (root.text, root.replies[0].text) == (WITHDRAWN_TEXT, answered.text)
        assert not Opening.objects.exists()

    def test_programs_see_it_as_deleted_and_are_told(self, answered: Message, mo: User) -> None:
        site, bot = Wire("site", trusted=True), Wire("bot", trusted=False)
        hook = Webhook.objects.create(api_client=site.client, url="https://example.org/hook")
        made = withdraw(answered)
        shown = bot.get(f"messages/{answered.pk}").json()
        assert (shown["deleted"], shown["text"]) == (True, "")
        refuse(made, mo)
        assert bot.get(f"messages/{answered.pk}").json()["text"] == answered.text
        read_outbox()
        told = Delivery.objects.filter(webhook=hook, body__contains=str(answered.pk)).order_by("happening")
        assert list(told.values_list("event", flat=True)) == ["message.deleted", "message.restored"]

    def test_who_is_working_below_it_hears_that_it_waits(self, reply: Message, bob: User) -> None:
        below = new_reply(reply, new_person("Asker"))
        task = assignment.request_task(user=bob, lang="en", kind=Kind.LABEL_PROMPTER_REPLY, policy=POLICY)
        assert task.message_id == below.pk
        withdraw(reply)
        assert not Opening.objects.filter(holder=bob).exists()
        with pytest.raises(Gone) as refusal:
            submission.submit_labels(task_id=task.pk, user=bob, labels={"spam": 0}, policy=POLICY)
        assert refusal.value.code == "message_hidden"
        undo(reply)
        submission.submit_labels(task_id=task.pk, user=bob, labels={"spam": 0}, policy=POLICY)

    def test_a_tree_in_ranking_waits(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice, SMALL)
        work_until_state(prompt.pk, State.RANKING, SMALL)
        made = withdrawal.withdraw(message_id=prompt.pk, author=alice, policy=SMALL)
        assert (state_of(prompt), Opening.objects.count()) == (State.RANKING, 0)
        moderator_actions.refuse_withdrawal(withdrawal_id=made.pk, actor=mo, reason="It stays.", policy=SMALL)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, SMALL)

    def test_the_points_go_and_come_back(self, answered: Message) -> None:
        (below,) = Message.objects.filter(parent=answered)
        mine, theirs = points_of(answered), points_of(below)
        withdraw(answered)
        assert (points_of(answered), points_of(below)) == (0, theirs)
        undo(answered)
        assert points_of(answered) == mine > 0

    def test_sent_twice_it_is_one_withdrawal(self, answered: Message) -> None:
        assert withdraw(answered).pk == withdraw(answered).pk
        assert Happening.objects.filter(kind="message_withdrawn").count() == Withdrawal.objects.count() == 1

    def test_its_author_takes_it_back(self, answered: Message) -> None:
        before = set(Opening.objects.values_list("message", "work"))
        withdraw(answered)
        for _ in range(2):
            undo(answered)
        found = fresh(answered)
        assert (found.hidden, found.withdrawn, Withdrawal.objects.get().status) == (False, False, Status.UNDONE)
        assert set(Opening.objects.values_list("message", "work")) == before
        assert not WaitingJob.objects.filter(job=notices.mail_about_withdrawal.name).exists()
        assert withdraw(answered).status == Status.OPEN


def mails_about(made: Withdrawal) -> bool:
    return notices.mail_about_withdrawal(withdrawal_id=made.pk)


class TestModerators:
    def test_they_delete_the_branch_and_its_author_is_told(self, answered: Message, mo: User) -> None:
        (below,) = Message.objects.filter(parent=answered)
        made = withdraw(answered)
        assert not mails_about(made)
        grant(made, mo)
        assert [mails_about(made), mails_about(made)] == [True, False]
        found = fresh(answered)
        assert (found.deleted, found.hidden, found.withdrawn) == (True, False, True)
        assert fresh(below).deleted
        (letter,) = mail.outbox
        assert letter.subject == "The text that you withdrew was deleted"
        assert "As you wish." in letter.body
        assert waiting_withdrawals().count() == 0

    def test_they_refuse_it_and_its_author_is_told_why(self, answered: Message, mo: User) -> None:
        made = withdraw(answered)
        refuse(made, mo)
        assert WaitingJob.objects.filter(job=notices.mail_about_withdrawal.name).count() == 1
        assert mails_about(made)
        found = fresh(answered)
        assert (found.deleted, found.hidden, found.withdrawn) == (False, False, False)
        (letter,) = mail.outbox
        assert letter.subject == "A text that you withdrew stays"
        assert "Others built on it." in letter.body
        with pytest.raises(Conflict) as refusal:
            withdraw(answered)
        assert refusal.value.code == "withdrawal_refused"
        assert "Others built on it." in refusal.value.message
        with pytest.raises(Conflict) as again:
            refuse(made, mo)
        assert again.value.code == "already_decided"

    def test_deleting_the_message_grants_it_and_undoing_that_refuses_it(self, answered: Message, mo: User) -> None:
        made = withdraw(answered)
        deletion = moderator_actions.delete_message(message_id=answered.pk, actor=mo, reason="As asked.", policy=POLICY)
        made.refresh_from_db()
        assert (made.status, made.decided_by) == (Status.GRANTED, mo)
        moderator_actions.undelete(deletion_id=deletion.pk, actor=mo, reason="Too much went.", policy=POLICY)
        made.refresh_from_db()
        assert (made.status, made.answer, fresh(answered).withdrawn) == (Status.REFUSED, "Too much went.", False)

    def test_what_goes_with_its_prompt_comes_back_hidden(self, answered: Message, mo: User) -> None:
        made = withdraw(answered)
        gone = moderator_actions.delete_message(message_id=answered.tree_id, actor=mo, reason="Spam.", policy=POLICY)
        assert waiting_withdrawals().count() == 0
        with pytest.raises(Conflict) as refusal:
            refuse(made, mo)
        assert refusal.value.code == "already_deleted"
        moderator_actions.undelete(deletion_id=gone.pk, actor=mo, reason="It was none.", policy=POLICY)
        found = fresh(answered)
        assert (found.deleted, found.hidden, waiting_withdrawals().count()) == (False, True, 1)

    def test_complaints_that_are_dismissed_do_not_show_it(self, answered: Message, mo: User) -> None:
        report = reactions.report(message_id=answered.pk, reporter=new_person("Rae"), category="spam")
        made = withdraw(answered)
        moderator_actions.settle_report(
            report_id=report.pk, actor=mo, status="dismissed", outcome="Fine.", policy=POLICY
        )
        assert fresh(answered).hidden
        refuse(made, mo)
        assert not fresh(answered).hidden

    def test_what_is_flagged_and_withdrawn_is_shown_when_both_are_decided(self, answered: Message, mo: User) -> None:
        for person in new_veterans(4):
            reactions.report(message_id=answered.pk, reporter=person, category="spam")
        assert auto_moderation.moderate(message_id=answered.pk, policy=POLICY)
        made = withdraw(answered)
        refuse(made, mo)
        assert fresh(answered).hidden
        proposal = Proposal.objects.get()
        moderator_actions.dismiss(proposal_id=proposal.pk, actor=mo, reason="Fine.", policy=POLICY)
        assert not fresh(answered).hidden

    def test_its_words_are_not_changed_meanwhile(self, answered: Message, mo: User) -> None:
        withdraw(answered)
        with pytest.raises(Conflict) as refusal:
            moderator_actions.edit_message(
                message_id=answered.pk, actor=mo, text="Other words.", reason="Better.", policy=POLICY
            )
        assert refusal.value.code == "withdrawn"

    def test_only_they_decide(self, answered: Message, bob: User) -> None:
        made = withdraw(answered)
        for act in (refuse, grant):
            with pytest.raises(NotAllowed):
                act(made, bob)
        assert fresh(answered).hidden

    def test_an_author_who_withdraws_what_was_flagged_proves_nobody_right(self, reply: Message, mo: User) -> None:
        (flagger,) = new_veterans(1)
        first, last = (new_prompt(new_person("Asker")) for _ in range(2))
        report = reactions.report(message_id=first.pk, reporter=flagger, category="spam")
        moderator_actions.settle_report(
            report_id=report.pk, actor=mo, status="dismissed", outcome="Fine.", policy=POLICY
        )
        reactions.report(message_id=reply.pk, reporter=flagger, category="spam")
        Proposal.objects.create(
            tree_id=reply.tree_id, message=reply, revision=reply.revision, kind=Proposal.Kind.FLAGS, voices=1
        )
        withdraw(reply)
        assert (reply.reports.get().status, Proposal.objects.get().status) == ("upheld", "upheld")
        assert not notices.mail_author(proposal_id=Proposal.objects.get().pk)  # the author knows
        reactions.report(message_id=last.pk, reporter=flagger, category="spam")
        assert complaint_weights.count_flags(last.pk, POLICY) == 0


class TestTheDataSet:
    def test_the_next_snapshot_leaves_it_out_with_what_hangs_below(self, alice: User, mo: User) -> None:
        messages = finished(alice)
        below = next(one for one in messages if one.depth == 2)
        parent = below.parent
        assert parent is not None
        everything = Selection(deleted=Inclusion.WITH, rejected=Inclusion.WITH)
        assert {parent.text, below.text} <= texts_in(read_lines(Selection()))
        made = withdraw(parent)
        assert (made.status, fresh(parent).hidden) == (Status.OPEN, True)
        for which in (Selection(), everything):
            assert not {parent.text, below.text} & texts_in(read_lines(which))
            assert messages[0].text in texts_in(read_lines(which))
        assert state_of(parent) == State.READY_FOR_EXPORT
        ranks = Message.objects.filter(parent=parent.parent, rank__isnull=False).values_list("rank", flat=True)
        assert sorted(ranks) == [0, 1]

    def test_no_moderator_has_to_decide_nor_can_refuse(self, alice: User, mo: User) -> None:
        made = withdraw(finished(alice)[0])
        assert waiting_withdrawals().count() == 0
        assert texts_in(read_lines(Selection())) == set()
        with pytest.raises(Conflict) as refusal:
            refuse(made, mo)
        assert refusal.value.code == "in_data_set"

    def test_its_author_may_undo_it(self, alice: User) -> None:
        messages = finished(alice)
        before = list(read_lines(Selection()))
        withdraw(messages[0])
        undo(messages[0])
        assert list(read_lines(Selection())) == before

    def test_what_nobody_replied_to_goes_at_once(self, alice: User) -> None:
        leaf = finished(alice)[-1]
        withdraw(leaf)
        assert fresh(leaf).deleted
        assert state_of(leaf) == State.READY_FOR_EXPORT
        everything = Selection(deleted=Inclusion.WITH, rejected=Inclusion.WITH)
        assert leaf.text not in texts_in(read_lines(everything))

    def test_what_was_refused_before_can_be_withdrawn_once_it_is_published(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice, SMALL)
        new_reply(prompt, new_person("Writer"), policy=SMALL)
        made = withdrawal.withdraw(message_id=prompt.pk, author=alice, policy=SMALL)
        moderator_actions.refuse_withdrawal(withdrawal_id=made.pk, actor=mo, reason="It stays.", policy=SMALL)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, SMALL)
        withdraw(prompt)
        assert texts_in(read_lines(Selection())) == set()


class TestWho:
    def test_only_its_author(self, reply: Message, bob: User, mo: User) -> None:
        for person in (bob, mo):
            with pytest.raises(NotFound):
                withdraw(reply, person)
        assert not fresh(reply).withdrawn

    def test_nobody_who_is_suspended(self, reply: Message, writer: User, mo: User) -> None:
        account_bans.ban(writer, actor=mo, reason="Rude.")
        with pytest.raises(NotAllowed) as refusal:
            withdraw(reply)
        assert refusal.value.code == "suspended"

    def test_what_is_deleted_is_gone(self, reply: Message, mo: User) -> None:
        moderator_actions.delete_message(message_id=reply.pk, actor=mo, reason="Spam.", policy=POLICY)
        with pytest.raises(Conflict) as refusal:
            withdraw(reply)
        assert refusal.value.code == "already_deleted"

    def test_a_purge_and_its_undo_leave_it_withdrawn(self, answered: Message, writer: User, mo: User) -> None:
        withdraw(answered)
        done = purging.start_purge(user=writer, actor=mo, reason="Spam.")
        purging.continue_purge(purge_id=done.pk, policy=POLICY)
        assert fresh(answered).deleted
        purging.undo_purge(purge_id=done.pk, actor=mo, reason="It was none.")
        purging.continue_purge(purge_id=done.pk, policy=POLICY)
        found = fresh(answered)
        assert (found.deleted, found.hidden, found.withdrawn) == (False, True, True)

    def test_the_end_of_a_purge_erases_what_was_said_about_it(self, answered: Message, writer: User, mo: User) -> None:
        withdraw(answered, reason="It was about my neighbour.")
        done = purging.start_purge(user=writer, actor=mo, reason="Spam.")
        purging.continue_purge(purge_id=done.pk, policy=POLICY)
        Purge.objects.update(stage=Purge.Stage.ERASED)
        purging.continue_purge(purge_id=done.pk, policy=POLICY)
        assert (fresh(answered).text, Withdrawal.objects.get().reason) == ("", "")

    def test_closing_the_account_takes_nothing_back(self, reply: Message, answered: Message, writer: User) -> None:
        withdraw(answered)
        closing.close_account(writer)
        assert fresh(answered).hidden
        with pytest.raises(NotAllowed):
            undo(answered)


class TestPages:
    def signed_in(self, person: User | None) -> Client:
        assert person is not None
        client = Client()
        client.force_login(person)
        return client

    def test_it_says_what_will_happen_and_does_it(self, reply: Message, writer: User) -> None:
        client, address = self.signed_in(writer), f"/messages/{reply.pk}/withdraw/"
        assert address in client.get("/me/contributions/").text
        assert address in client.get(f"/messages/{reply.tree_id}/").text
        assert "removed at once" in client.get(address).text
        assert not fresh(reply).withdrawn
        told = client.post(address, follow=True)
        assert "Your text is removed." in told.text
        assert client.post(address, follow=True).status_code == 200
        assert fresh(reply).deleted
        assert address not in client.get("/me/contributions/").text

    def test_with_replies_it_says_that_a_moderator_decides_and_offers_the_way_back(
        self, answered: Message, writer: User
    ) -> None:
        client, address = self.signed_in(writer), f"/messages/{answered.pk}/withdraw/"
        assert "A moderator decides" in client.get(address).text
        assert client.post(address, {"reason": "x" * 501}).status_code == 422
        told = client.post(address, {"reason": "My address."}, follow=True)
        assert "hidden from everybody but the moderators" in told.text
        assert Withdrawal.objects.get().reason == "My address."
        page = client.get(address).text
        assert "Let it be read again" in page
        assert answered.text not in page
        client.post(f"{address}undo/")
        assert not fresh(answered).hidden

    def test_of_the_data_set_it_says_what_the_next_snapshot_does(self, alice: User) -> None:
        prompt = finished(alice)[0]
        assert "the next snapshot leaves it out" in self.signed_in(alice).get(f"/messages/{prompt.pk}/withdraw/").text

    def test_what_a_moderator_decided_is_said(self, answered: Message, writer: User, mo: User) -> None:
        refuse(withdraw(answered), mo)
        client, address = self.signed_in(writer), f"/messages/{answered.pk}/withdraw/"
        for response in (client.get(address), client.post(address)):
            assert "Others built on it." in response.text
            assert "Withdraw it</button>" not in response.text
        assert response.status_code == 409

    def test_somebody_elses_is_not_there(self, reply: Message, bob: User) -> None:
        client = self.signed_in(bob)
        assert client.get(f"/messages/{reply.pk}/withdraw/").status_code == 404
        assert client.post(f"/messages/{reply.pk}/withdraw/").status_code == 404
        assert f"/messages/{reply.pk}/withdraw/" not in client.get(f"/messages/{reply.tree_id}/").text

    def test_who_does_not_agree_to_the_new_terms_can_still_withdraw_what_they_gave(
        self, reply: Message, writer: User
    ) -> None:
        consent.withdraw_terms(writer)
        client = self.signed_in(writer)
        assert client.get("/me/contributions/").status_code == 200
        assert client.get("/").status_code == 302
        assert client.post(f"/messages/{reply.pk}/withdraw/").status_code == 302
        assert fresh(reply).deleted

    def test_moderators_decide_in_the_admin(self, answered: Message, mo: User) -> None:
        made = withdraw(answered, reason="My address.")
        client = self.signed_in(mo)
        assert "withdrawal" in client.get("/admin/").text
        listed = client.get("/admin/trees/withdrawal/?waits=yes").text
        assert "My address." in listed
        page = client.get(f"/admin/trees/withdrawal/{made.pk}/change/").text
        assert answered.text in page
        client.post(
            "/admin/trees/withdrawal/", {"action": "refuse", "reason": "It stays.", "_selected_action": str(made.pk)}
        )
        made.refresh_from_db()
        assert (made.status, made.decided_by) == (Status.REFUSED, mo)
        decided = f'by <span class="person"><bdi class="person__name">{mo.display_name}</bdi>'
        for address in (
            f"/admin/trees/message/{answered.pk}/change/",
            f"/admin/trees/messagetree/{answered.tree_id}/change/",
        ):
            page = " ".join(client.get(address).text.split())
            assert "Withdrawals by the author" in page and decided in page

    def test_the_admin_shows_words_and_not_markdown(self, alice: User, writer: User, mo: User) -> None:
        written = new_reply(growing_tree(alice), writer, text="**Bold** words of mine")
        made, client = withdraw(written), self.signed_in(mo)
        listed = client.get("/admin/trees/withdrawal/").text
        assert "Bold words of mine" in listed and "**" not in listed
        for address, title in {
            f"/admin/trees/withdrawal/{made.pk}/change/": "Withdrawn: Bold words of mine",
            f"/admin/trees/message/{written.pk}/change/": "Bold words of mine",
        }.items():
            head = client.get(address).text.partition("</title>")[0]
            assert title in head and "**" not in head, address


def test_reviews_and_rankings_of_it_stay_with_those_who_gave_them(alice: User) -> None:
    prompt = new_prompt(alice)
    reviewer = new_people(1)[0]
    review(prompt, reviewer)
    withdraw(prompt)
    _, credits = credits_of([prompt.pk])[prompt.pk]
    assert [one.person for one in credits] == [reviewer.pk, reviewer.pk]
    assert MessageTree.objects.get().state == State.HALTED_BY_MODERATOR
