"""Gold messages: who makes them, where they come from, what is learnt from the answers, who sees that."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import Conflict, Invalid, NotAllowed, NotFound
from oasst.core.models import AuditEntry
from tests.factories import decide, new_people, new_person, new_prompt, review
from trees.contributing import gold, reviewers, reviews
from trees.contributing.skill_estimation import Answers, estimate
from trees.interchange.export_facts import read_facts
from trees.interchange.selection import Selection
from trees.lifecycle.policy import TreePolicy
from trees.models import GoldMessage, Message, Review, ReviewerRecord, ReviewerSkill

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(gold_least_reviews=2)
LONG_AGO = timedelta(days=100)


@pytest.fixture
def boss() -> User:
    return new_person("Boss", role="admin")


@pytest.fixture
def prompt() -> Message:
    message = new_prompt(new_person("Author"))
    decide(message)
    return message


def mark(message: Message, actor: User, reason: str = "Surely.") -> GoldMessage:
    return gold.mark(message_id=message.pk, actor=actor, reason=reason, policy=POLICY)


def check(message: Message, person: User, *, rejects: bool = False, kind: Review.Kind = Review.Kind.GOLD) -> Review:
    labels = {"spam": float(rejects)}
    return reviews.record_check(kind=kind, message=message, author=person, labels=labels, policy=POLICY)


class TestMarking:
    def test_the_decision_is_confirmed(self, prompt: Message, boss: User) -> None:
        row = mark(prompt, boss)
        assert (row.good, row.work, row.lang, row.source) == (True, "label_initial_prompt", "en", "marked")
        assert (row.actor, row.reason, row.active, row.revision_id) == (boss, "Surely.", True, prompt.revision_id)
        again = mark(prompt, boss, "Still.")
        assert (again.reason, again.draw) == ("Still.", row.draw)
        assert GoldMessage.objects.count() == 1

    def test_only_administrators(self, prompt: Message, alice: User, mo: User) -> None:
        for person in (alice, mo):
            with pytest.raises(NotAllowed):
                mark(prompt, person)
            with pytest.raises(NotAllowed):
                gold.unmark(message_id=prompt.pk, actor=person, reason="Why.", policy=POLICY)
        assert not GoldMessage.objects.exists()

    def test_only_with_a_reason_and_what_exists(self, prompt: Message, boss: User) -> None:
        with pytest.raises(Invalid):
            mark(prompt, boss, " ")
        with pytest.raises(NotFound):
            gold.mark(message_id=boss.pk, actor=boss, reason="Why.", policy=POLICY)

    @pytest.mark.parametrize("field", ["deleted", "hidden", "withdrawn"])
    def test_not_what_was_removed(self, prompt: Message, boss: User, field: str) -> None:
        Message.objects.filter(pk=prompt.pk).update(**{field: True})
        with pytest.raises(Conflict) as refusal:
            mark(prompt, boss)
        assert refusal.value.code == "withheld"

    def test_not_what_is_undecided(self, boss: User) -> None:
        with pytest.raises(Conflict) as refusal:
            mark(new_prompt(new_person("Author")), boss)
        assert refusal.value.code == "undecided"

    def test_ending_it(self, prompt: Message, boss: User) -> None:
        mark(prompt, boss)
        gold.unmark(message_id=prompt.pk, actor=boss, reason="Unclear.", policy=POLICY)
        row = GoldMessage.objects.get()
        assert (row.active, row.reason) == (False, "Unclear.")
        with pytest.raises(Conflict) as refusal:
            gold.unmark(message_id=prompt.pk, actor=boss, reason="Again.", policy=POLICY)
        assert refusal.value.code == "not_gold"
        assert mark(prompt, boss).active


def make_old(*messages: Message) -> None:
    at = timezone.now() - LONG_AGO
    Message.objects.filter(pk__in=[one.pk for one in messages]).update(created_at=at)
    Review.objects.filter(message__in=messages).update(created_at=at)


class TestFinding:
    def test_unanimous_old_ones_of_both_kinds(self, prompt: Message) -> None:
        junk = new_prompt(new_person("Junk"))
        decide(junk, accept=False)
        make_old(prompt, junk)
        assert gold.refresh(POLICY) == (2, 0)
        assert dict(GoldMessage.objects.values_list("message", "good")) == {prompt.pk: True, junk.pk: False}
        assert gold.refresh(POLICY) == (0, 0)

    @pytest.mark.parametrize("why", ["young", "few", "split", "imported", "hidden", "edited", "ended", "late review"])
    def test_no_others(self, prompt: Message, boss: User, why: str) -> None:
        policy = replace(POLICY, gold_least_reviews=3) if why == "few" else POLICY
        if why == "split":
            Review.objects.filter(pk=prompt.reviews.all()[0].pk).update(labels={"spam": 1})
        if why != "young":
            make_old(prompt)
        if why == "imported":
            Message.objects.filter(pk=prompt.pk).update(imported={})
        if why == "hidden":
            Message.objects.filter(pk=prompt.pk).update(hidden=True)
        if why == "edited":
            other = new_prompt(new_person("Other"))
            Message.objects.filter(pk=prompt.pk).update(revision=other.revision_id)
        if why == "late review":
            Review.objects.filter(pk=prompt.reviews.all()[0].pk).update(created_at=timezone.now())
        if why == "ended":
            mark(prompt, boss)
            gold.unmark(message_id=prompt.pk, actor=boss, reason="No.", policy=POLICY)
        assert gold.refresh(policy) == (0, 0)

    def test_not_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gold, "MOST_FOUND", 2)
        prompts = [new_prompt(author) for author in new_people(3)]
        for one in prompts:
            decide(one)
        make_old(*prompts)
        assert gold.refresh(POLICY) == (2, 0)
        assert gold.refresh(POLICY) == (0, 0)

    def test_what_people_doubt_is_ended_but_not_what_an_administrator_marked(self, boss: User) -> None:
        found, marked = new_prompt(new_person("One")), new_prompt(new_person("Two"))
        for one in (found, marked):
            decide(one)
        make_old(found)
        gold.refresh(POLICY)
        mark(marked, boss)
        people = new_people(4)
        for person, rejects in zip(people[:2], (True, True), strict=True):
            check(found, person, rejects=rejects), check(marked, person, rejects=True)
        assert gold.refresh(POLICY) == (0, 0), "two are too few"
        check(found, people[2]), check(marked, people[2], rejects=True)
        assert gold.refresh(POLICY) == (0, 1)
        assert set(GoldMessage.objects.filter(active=True).values_list("message", flat=True)) == {marked.pk}
        (row,) = gold.with_answers(GoldMessage.objects.filter(message=found))
        assert (row.answers, row.right) == (3, 1)


class TestLearning:
    def test_known_answers_tell_more_than_agreement(self) -> None:
        """Two who always agree with each other: only gold messages show who is careless."""
        texts = [Answers("q", "en", [("Ann", False), ("Ben", False)]) for _ in range(30)]
        known = [Answers("q", "en", [(who, who == "Ann")], truth=True) for who in ("Ann", "Ben") for _ in range(15)]
        skills = estimate(lambda: [*texts, *known]).skills
        assert skills["q", "en", "Ann"].finds > 0.9 > 0.5 > skills["q", "en", "Ben"].finds

    def test_one_answer_to_a_gold_message_counts_as_known(self) -> None:
        found = estimate(lambda: [Answers("q", "en", [("Ann", False)], truth=True)] * 20)
        assert found.counts["q", "en", "Ann"].texts == found.counts["q", "en", "Ann"].differed == 20
        assert found.well_known_skill("q", "en", "Ann") is not None

    def test_what_is_stored(self, boss: User, bob: User) -> None:
        good, junk, over = (new_prompt(author) for author in new_people(3))
        decide(good), decide(junk, accept=False), decide(over)
        for one in (good, junk, over):
            mark(one, boss)
        check(good, bob), check(junk, bob), check(over, bob, rejects=True)
        gold.unmark(message_id=over.pk, actor=boss, reason="Unclear.", policy=POLICY)
        reviewers.learn()
        record = ReviewerRecord.objects.get(person=bob)
        assert (record.good_kept, record.good_rejected, record.bad_rejected, record.bad_kept) == (1, 0, 0, 1)
        assert (record.gold, record.gold_right, record.decided) == (2, 1, 0)
        assert ReviewerSkill.objects.get(person=bob, label="verdict").texts == 2

    def test_the_first_answer_counts(self, boss: User, bob: User, carol: User) -> None:
        """Not the one after taking it back, since its author may have looked the message up (decision 130)."""
        good = new_prompt(boss)
        decide(good)
        mark(good, boss)
        check(good, bob, rejects=True, kind=Review.Kind.GOLD_UNDONE), check(good, bob)
        check(good, carol)
        reviewers.learn()
        records = {record.person_id: record for record in ReviewerRecord.objects.all()}
        assert (records[bob.pk].good_kept, records[bob.pk].good_rejected) == (0, 1)
        assert (records[carol.pk].good_kept, records[carol.pk].good_rejected) == (1, 0)
        (row,) = gold.with_answers(GoldMessage.objects.all())
        assert (row.answers, row.right) == (2, 1)
        assert list(Review.by_author.filter(author=bob).values_list("kind", flat=True)) == ["gold"]

    def test_repeats(self, prompt: Message, bob: User) -> None:
        others = [new_prompt(author) for author in new_people(2)]
        for one in others:
            review(one, bob)
            check(one, bob, rejects=one == others[0], kind=Review.Kind.REPEAT)
        check(prompt, bob, kind=Review.Kind.REPEAT)  # the first review was set aside or never given
        reviewers.learn()
        record = ReviewerRecord.objects.get(person=bob)
        assert (record.repeated, record.repeated_alike) == (2, 1)
        assert ReviewerSkill.objects.filter(person=bob).count() == 0, "a repeat is no other opinion on the text"


def test_no_file_has_them(prompt: Message, boss: User, bob: User) -> None:
    mark(prompt, boss)
    before = read_facts([prompt.tree], {prompt.pk: prompt}, Selection())
    check(prompt, bob, rejects=True)
    assert read_facts([prompt.tree], {prompt.pk: prompt}, Selection()) == before


class TestWhoSeesWhat:
    def record(self, person: User, **counts: int) -> ReviewerRecord:
        fields = {"decided": 9, "agreed": 8, "finds": 0.8, "spares": 0.9, "updated_at": timezone.now()}
        return ReviewerRecord.objects.create(person=person, **{**fields, **counts})

    def test_people_see_help_once_there_is_enough(self, alice: User, bob: User, carol: User) -> None:
        self.record(alice, good_kept=9, bad_rejected=8, bad_kept=2, good_rejected=1, repeated=12, repeated_alike=11)
        self.record(bob, good_kept=9, repeated=9)
        self.record(carol, good_kept=8, good_rejected=2)
        pages = {}
        for person in (alice, bob, carol):
            client = Client()
            client.force_login(person)
            pages[person] = " ".join(client.get(reverse("points")).text.split())
        assert 'you agreed on <strong class="tabular">17 of 20</strong>' in pages[alice]
        assert "you let them pass" in pages[alice] and 'judged <strong class="tabular">11</strong>' in pages[alice]
        assert "known answer" not in pages[bob] and "second time" not in pages[bob]
        assert "were good, and you rejected them" in pages[carol] and "second time" not in pages[carol]

    def test_moderators_see_the_numbers(self, alice: User, mo: User) -> None:
        self.record(alice, good_kept=1, bad_kept=1, repeated=1)
        client = Client()
        client.force_login(mo)
        page = client.get(reverse("admin:accounts_user_change", args=[alice.pk])).text
        assert "Gold messages: 1 of 2 right" in page
        assert "0 of 1 with the same verdict" in page

    def test_administrators_mark_and_end_in_the_admin(self, prompt: Message, boss: User, mo: User) -> None:
        desk, moderator = Client(), Client()
        desk.force_login(boss)
        moderator.force_login(mo)
        messages, of_gold = reverse("admin:trees_message_changelist"), reverse("admin:trees_goldmessage_changelist")
        data = {"action": "mark_gold", "reason": "Right.", "_selected_action": [str(prompt.pk)]}
        assert "Use as gold" not in moderator.get(messages).text
        moderator.post(messages, data)
        assert not GoldMessage.objects.exists()
        assert "In Messages, choose those whose decision is surely right" in desk.get(of_gold).text
        assert "matches these filters" in desk.get(of_gold, {"active__exact": "1"}).text
        assert "Use as gold" in desk.get(reverse("admin:trees_message_change", args=[prompt.pk])).text
        assert "used as gold" in desk.post(messages, data, follow=True).text
        assert moderator.get(of_gold).status_code == 403
        history = moderator.get(reverse("admin:trees_message_history", args=[prompt.pk]))
        assert history.status_code == 200 and "gold" not in history.text.lower()
        assert moderator.get(reverse("admin:trees_goldmessage_history", args=[prompt.pk])).status_code == 403
        assert "made a message gold" in desk.get(reverse("admin:trees_goldmessage_history", args=[prompt.pk])).text
        page = desk.get(of_gold).text
        assert "not asked yet" in page
        assert "initial prompts" in page and "49 more needed" in page
        assert "Surely" not in desk.get(reverse("admin:trees_goldmessage_change", args=[prompt.pk])).text
        desk.post(of_gold, {"action": "end", "reason": "Unclear.", "_selected_action": [str(prompt.pk)]})
        assert not GoldMessage.objects.get().active
        logged = AuditEntry.objects.values_list("act", "target_type", "person", "text__reason")
        about = ("trees.goldmessage", prompt.author_id)
        assert [*logged] == [("gold.mark", *about, "Right."), ("gold.end", *about, "Unclear.")]


@pytest.mark.parametrize(
    "change",
    [{"check_share": 0.1}, {"check_share": -1}, {"check_repeats": 2}, {"check_least_pool": 0}, {"gold_age_days": 0}],
)
def test_a_policy_that_tests_people_instead_of_asking_them_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"check_|gold_"):
        TreePolicy(**change)  # type: ignore[arg-type]
