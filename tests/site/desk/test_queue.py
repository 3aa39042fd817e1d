"""The queue of the desk: everything that needs a decision, the worst first, and nothing twice."""

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from leaderboard.models import TrollStanding
from leaderboard.time_frames import Frame
from oasst.accounts import account_bans, administrator_bans, appeals
from oasst.accounts.models import User
from oasst.site.desk import claims, queue, sources
from oasst.site.desk.subjects import Item, Reason, Source, Subject, SubjectKind
from oasst.site.models import DeskClaim, DeskDecision, Escalation
from tests.factories import (
    decide,
    growing_tree,
    new_people,
    new_person,
    new_prompt,
    new_reply,
    new_veterans,
    work_until_state,
)
from trees.contributing import reactions, withdrawal
from trees.lifecycle import reply_ranks
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageReading, NearDuplicate, ReadingKind
from trees.moderation import auto_moderation, moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(goal_tree_size=4, max_tree_depth=1, auto_mod_red_flags=3)


def sources_of(moderator: User, langs: Any = None) -> list[tuple[str, str, str]]:
    """Return (source, kind, id) of all that waits, in the order of the desk."""
    return [
        (reason.source, item.subject.kind, item.subject.id)
        for item in queue.read_board(moderator, langs).waiting
        for reason in item.reasons
    ]


def report(message: Message, reporter: User, category: str = "spam") -> None:
    reactions.report(message_id=message.pk, reporter=reporter, category=category)


class TestSources:
    def about(self, message: Message, source: Source) -> list[tuple[str, str, str]]:
        return [(source.value, "message", str(message.pk))]

    def test_a_report(self, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice)
        report(prompt, bob)
        assert sources_of(mo) == self.about(prompt, Source.REPORT)
        (waiting,) = prompt.reports.all()
        moderator_actions.settle_report(
            report_id=waiting.pk, actor=mo, status="dismissed", outcome="Fine.", policy=POLICY
        )
        assert sources_of(mo) == []

    def test_complaints_of_many(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice, policy=POLICY)
        for person in new_veterans(3):
            reactions.set_reaction(message_id=prompt.pk, user=person, emoji="red_flag", on=True)
        auto_moderation.moderate(message_id=prompt.pk, policy=POLICY)
        assert sources_of(mo) == self.about(prompt, Source.PROPOSAL)
        (item,) = queue.read_board(mo).waiting
        assert (item.severity, item.voices, item.lang) == (1, 3, "en")

    def test_a_flag_alone_until_a_decision_that_is_not_older(self, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice)
        reactions.set_reaction(message_id=prompt.pk, user=bob, emoji="red_flag", on=True)
        assert sources_of(mo) == self.about(prompt, Source.FLAG)
        about = {"subject_kind": "message", "subject_id": str(prompt.pk), "act": "keep", "reason": "Fine."}
        decision = DeskDecision.objects.create(moderator=mo, **about)
        assert sources_of(mo) == []
        DeskDecision.objects.filter(pk=decision.pk).update(at=timezone.now() - timedelta(days=1))
        assert sources_of(mo) == self.about(prompt, Source.FLAG)
        DeskDecision.objects.filter(pk=decision.pk).update(at=timezone.now(), undone_at=timezone.now())
        assert sources_of(mo) == self.about(prompt, Source.FLAG)

    def test_a_withdrawal(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice, POLICY)
        new_reply(prompt, new_person("Writer"), policy=POLICY)
        withdrawal.withdraw(message_id=prompt.pk, author=alice, reason="Private.", policy=POLICY)
        assert sources_of(mo) == self.about(prompt, Source.WITHDRAWAL)

    def test_personal_data(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice)
        MessageReading.objects.create(
            revision_id=prompt.revision_id, kind=ReadingKind.PERSONAL_DATA, flagged=True, read_at=timezone.now()
        )
        assert sources_of(mo) == self.about(prompt, Source.PERSONAL_DATA)

    def test_the_later_one_of_two_that_say_the_same(self, alice: User, bob: User, mo: User) -> None:
        first, second = sorted((new_prompt(alice), new_prompt(bob)), key=lambda one: one.pk)
        NearDuplicate.objects.create(first=first, second=second, wording=0.9)
        assert sources_of(mo) == self.about(second, Source.NEAR_DUPLICATE)

    def test_a_conversation_that_cannot_be_ranked(self, alice: User, mo: User, monkeypatch: pytest.MonkeyPatch) -> None:
        prompt = growing_tree(alice, POLICY)
        monkeypatch.setattr(reply_ranks, "score", lambda *_: 1 / 0)
        work_until_state(prompt.pk, State.SCORING_FAILED, POLICY)
        assert sources_of(mo) == [("scoring_failed", "tree", str(prompt.pk))]

    def test_what_reviewers_did_not_accept_comes_last(self, alice: User, bob: User, mo: User) -> None:
        bad, reported = new_prompt(alice), new_prompt(bob)
        decide(bad, accept=False)
        report(reported, alice)
        assert [source for source, _, _ in sources_of(mo)] == ["report", "low_grade"]

    def test_halts_by_moderators_do_not_wait(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice, POLICY)
        moderator_actions.halt(tree_id=prompt.tree_id, actor=mo, reason="Odd.", policy=POLICY)
        assert sources_of(mo) == []

    def test_people_with_many_complaints(self, alice: User, mo: User) -> None:
        TrollStanding.objects.create(frame=Frame.WEEK.value, person=alice, red_flags=4)
        assert sources_of(mo) == [("troll", "person", str(alice.pk))]

    def test_an_appeal_comes_to_somebody_else(self, alice: User, mo: User) -> None:
        account_bans.ban(alice, actor=mo, reason="Rude.")
        alice.refresh_from_db()
        appeals.appeal(alice, "I did not know that.")
        assert sources_of(mo) == [("appeal", "person", str(alice.pk))]  # nobody else is there
        max_ = new_person("Max", "moderator")
        User.objects.filter(pk=max_.pk).update(last_activity_at=timezone.now())
        assert sources_of(mo) == []
        assert sources_of(max_) == [("appeal", "person", str(alice.pk))]

    def test_only_administrators_see_what_is_theirs(self, alice: User, mo: User) -> None:
        ada, grace, linus = (new_person(name, "admin") for name in ("Ada", "Grace", "Linus"))
        prompt = new_prompt(alice)
        Escalation.objects.create(
            subject_kind="message", subject_id=str(prompt.pk), passed_by=mo, note="What do you think?"
        )
        administrator_bans.ban(linus, actor=grace, reason="Gone rogue.")
        assert sources_of(mo) == []
        found = sources_of(ada)
        assert sorted(source for source, _, _ in found) == ["ban_proposed", "passed_on"]
        User.objects.filter(pk=mo.pk).update(role="admin")
        assert "passed_on" in [source for source, _, _ in sources_of(User.objects.get(pk=mo.pk))]


class TestOrder:
    def test_five_reports_about_one_message_are_one_item(self, alice: User, mo: User) -> None:
        prompt, other = new_prompt(alice), new_prompt(alice)
        report(other, new_person("First"))
        for person in new_people(5):
            report(prompt, person)
        first, second = queue.read_board(mo).waiting
        assert (first.subject.id, first.voices, len(first.reasons)) == (str(prompt.pk), 5, 5)
        assert second.subject.id == str(other.pk)

    def test_danger_before_numbers_before_age(self, alice: User, bob: User, mo: User) -> None:
        old, many, dangerous = new_prompt(alice), new_prompt(alice), new_prompt(alice)
        report(old, bob)
        for person in new_people(2):
            report(many, person)
        report(dangerous, bob, "violence")
        assert [item.subject.id for item in queue.read_board(mo).waiting] == [
            str(one.pk) for one in (dangerous, many, old)
        ]

    def test_languages_of_the_moderator(self, alice: User, bob: User, mo: User) -> None:
        english, german = new_prompt(alice, lang="en"), new_prompt(alice, lang="de")
        report(english, bob)
        report(german, bob)
        TrollStanding.objects.create(frame=Frame.WEEK.value, person=bob, red_flags=4)
        found = {subject for _, _, subject in sources_of(mo, ["de", "fr"])}
        assert found == {str(german.pk), str(bob.pk)}, "what is in no language is for all"

    def test_two_statements_however_much_waits(self, alice: User, mo: User, django_assert_num_queries: Any) -> None:
        for number in (1, 10):
            for person in new_people(number):
                report(new_prompt(alice), person)
            with django_assert_num_queries(2):
                queue.read_board(mo)


class TestClaims:
    def test_nobody_gets_what_somebody_holds(self, alice: User, bob: User, mo: User) -> None:
        max_ = new_person("Max", "moderator")
        prompts = [new_prompt(alice) for _ in range(2)]
        for prompt in prompts:
            report(prompt, bob)
        first, second = queue.take_next(mo), queue.take_next(max_)
        assert first and second and {first.subject.id, second.subject.id} == {str(one.pk) for one in prompts}
        assert queue.take_next(new_person("Moira", "moderator")) is None
        again = queue.take_next(mo)
        assert again and again.subject == first.subject, "the same until it is decided"

    def test_a_lease_that_ran_out_and_one_that_is_renewed(self, alice: User, bob: User, mo: User) -> None:
        max_ = new_person("Max", "moderator")
        report(new_prompt(alice), bob)
        item = queue.take_next(mo)
        assert item is not None and queue.take_next(max_) is None
        DeskClaim.objects.update(until=timezone.now() - timedelta(seconds=1))
        taken = queue.take_next(max_)
        assert taken and taken.subject == item.subject
        assert not claims.renew(mo, item.subject) and claims.renew(max_, item.subject)
        claims.give_back(max_)
        assert claims.renew(mo, item.subject)

    def test_skipping_gives_the_next_and_frees_the_one_before(self, alice: User, bob: User, mo: User) -> None:
        for _ in range(2):
            report(new_prompt(alice), bob)
        first = queue.take_next(mo)
        assert first is not None
        second = queue.take_next(mo, skipped=[first.subject.id])
        assert second and second.subject != first.subject and DeskClaim.objects.count() == 1

    def test_old_claims_are_forgotten(self, mo: User) -> None:
        now = timezone.now()
        for number, until in enumerate((now, now - timedelta(days=2))):
            DeskClaim.objects.create(subject_kind="tree", subject_id=str(number), moderator=mo, until=until)
        assert claims.forget_expired() == 1


@pytest.mark.django_db(transaction=True)
def test_rivals_never_hold_the_same() -> None:
    author, moderators = new_person("Alice"), [new_person(f"Mo {n}", "moderator") for n in range(6)]
    for person in new_people(4):
        report(new_prompt(author), person)
    held: list[Item | None] = []

    def take(moderator: User) -> None:
        held.append(queue.take_next(moderator))
        connection.close()

    threads = [Thread(target=take, args=[moderator]) for moderator in moderators]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    subjects = [item.subject for item in held if item is not None]
    assert len(subjects) == len(set(subjects)) == 4 and held.count(None) == 2


def test_each_source_has_a_place_in_the_union(mo: User) -> None:
    """The columns of all sources have the same types, also with all languages and as an administrator."""
    assert sources.read_reasons(new_person("Ada", "admin"), ["en"]) == []
    assert Reason(Subject(SubjectKind.CHAT, "1"), Source.CHAT_REPORT, 2, 1, timezone.now(), "").severity == 2
