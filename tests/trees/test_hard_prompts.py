"""Questions of chats that were answered badly are proposed to staff, who take them as prompts."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from inference.chats.cleanup import erase_chats
from inference.chats.deletion import delete_chat
from inference.models import Chat, ChatReport, Vote
from oasst.accounts.models import User
from oasst.core.errors import Conflict, DomainError
from oasst.core.models import AuditEntry
from oasst.site.invariants import find_differences
from tests.concurrency.together import at_once
from tests.factories import new_people, new_person, new_prompt
from tests.trees.chats import answered_chat, answers, new_answer, questions
from trees import donations, hard_prompts
from trees.enrichment import sketches
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import HardPrompt, Message, MessageTree, TextSketch

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
ASKED = "Which of the planets has the longest day, and why is that so?"


@pytest.fixture(autouse=True)
def _no_limits(settings: Any) -> Iterator[None]:
    settings.RATE_LIMITS = False
    return


def disliked(person: User, text: str = ASKED, **fields: Any) -> Chat:
    chat = answered_chat(person, (text, "I do not know."), **fields)
    Vote.objects.create(message=answers(chat)[0], user=person, score=-1)
    return chat


def proposed(person: User, text: str = ASKED) -> HardPrompt:
    chat = disliked(person, text)
    hard_prompts.propose(POLICY)
    return HardPrompt.objects.get(question=questions(chat)[0])


def take(proposal: HardPrompt, actor: User) -> HardPrompt:
    return hard_prompts.take(proposal_id=proposal.pk, actor=actor, reason="A good question.", policy=POLICY)


class TestProposing:
    def test_what_was_answered_badly_with_the_reason(self, alice: User) -> None:
        disliked(alice)
        reported = answered_chat(alice, ("How do ships float although steel is heavy?", "No."))
        ChatReport.objects.create(message=answers(reported)[0], user=alice, kind="offensive", reason="Rude.")
        again = answered_chat(alice, ("Who invented the paper clip, and when was that?", "Nobody."))
        for text in ("Me.", "You."):
            new_answer(questions(again)[0], text)
        answered_chat(alice, ("Which bird builds the largest nest of all?", "The eagle."))
        assert hard_prompts.propose(POLICY) == 3
        assert {(one.text[:5], *one.why) for one in HardPrompt.objects.all()} == {
            ("Which", "thumb_down"),
            ("How d", "reported"),
            ("Who i", "asked_again"),
        }
        assert hard_prompts.propose(POLICY) == 0

    def test_personal_data_is_masked(self, alice: User) -> None:
        assert proposed(alice, "Is tom.miller@wetter.de a good address for work?").text == (
            "Is [e-mail address] a good address for work?"
        )

    def test_what_is_left_alone(self, alice: User, bob: User, people: Any) -> None:
        disliked(alice, allow_data_use=False)
        disliked(bob, deleted_at=timezone.now())
        disliked(bob, ephemeral=True)
        disliked(people("Dora"), "word " * 200)
        old = disliked(people("Dan"))
        old.messages.update(created_at=timezone.now() - timedelta(days=400))
        later = answered_chat(people("Dee"), (ASKED, "A long story."), ("Tell it once more, please?", "No."))
        Vote.objects.create(message=answers(later)[1], user=later.user, score=-1)
        given = disliked(people("Dave"), "Why do cats purr when they are content?")
        offer = donations.get_offer_for(given.user, given.pk, upto=None, alone=False, lang="en", policy=POLICY)
        about: dict[str, Any] = {"upto": None, "alone": False, "lang": "en", "masked": [], "policy": POLICY}
        donations.give(user=given.user, chat_id=given.pk, seen=offer.digest, **about)
        assert hard_prompts.propose(POLICY) == 0
        assert not HardPrompt.objects.exists()

    def test_the_same_question_of_several_people_is_proposed_once(self, alice: User, bob: User, eve: User) -> None:
        disliked(alice)
        disliked(bob, f"{ASKED} Please.")
        assert hard_prompts.propose(POLICY) == 1
        known = new_prompt(eve, "Why do ships float although they are made of steel?")
        bands = sketches.bands(sketches.grams(known.text))
        TextSketch.objects.create(message=known, revision_id=known.revision_id, lang="en", is_prompt=True, bands=bands)
        disliked(eve, known.text)
        assert hard_prompts.propose(POLICY) == 0

    def test_a_low_score_of_a_reward_model(self, people: Any) -> None:
        """Only the lowest tenth counts; of too few answers nobody knows which are low."""
        for number in range(18):
            answered_chat(people("Dora"), (f"How is number {number} made?", "By hand."))
        answered_chat(people("Dora"), ("Why is tea bitter when it steeps for long?", "It is bad."))
        with pytest.raises(Conflict) as error:
            hard_prompts.propose_lowest(POLICY, lambda talks: [0.0] * len(talks))
        assert error.value.code == "too_few_answers"
        again = answered_chat(people("Dora"), ("Which animals live on the moon?", "Cows, as everybody knows."))
        new_answer(questions(again)[0], "It is bad, too.")
        answered_chat(people("Dora"), ("A secret, is it not?", "It is bad."), allow_data_use=False)

        def scores(talks: Any) -> list[float]:
            assert len(talks) == 20 and {tuple(one.role for one in talk) for talk in talks} == {("user", "assistant")}
            return [-float("bad" in talk[-1].content) for talk in talks]

        assert hard_prompts.propose_lowest(POLICY, scores) == 2
        found = HardPrompt.objects.order_by("text")
        assert [(one.text[:5], *one.why) for one in found] == [("Which", "low_score"), ("Why i", "low_score")]

    def test_no_more_than_staff_can_look_at(self, people: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hard_prompts, "MOST_OPEN", 3)
        subjects = ("whales", "mountains", "music", "old bridges", "snowflakes")
        for subject in subjects:
            disliked(people("Dora"), f"What is the most surprising thing about {subject}?")
        assert hard_prompts.propose(POLICY) + hard_prompts.propose(POLICY) == 3

    def test_ten_times_the_chats_cost_no_more_to_look_at(self, alice: User) -> None:
        def cost() -> int:
            with CaptureQueriesContext(connection) as captured:
                list(hard_prompts._candidates(POLICY))
            return len(captured)

        disliked(alice)
        few = cost()
        for person in new_people(10):
            disliked(person)
        assert cost() == few == 1

    def test_it_goes_with_its_chat(self, alice: User, bob: User) -> None:
        mine, other = proposed(alice), proposed(bob, "How do ships float although steel is heavy?")
        delete_chat(user=alice, chat_id=mine.question.chat_id)
        assert list(hard_prompts.usable(HardPrompt.objects.all())) == [other]
        hard_prompts.propose(POLICY)
        assert list(HardPrompt.objects.all()) == [other]
        erase_chats(bob.pk)
        assert not HardPrompt.objects.exists()


class TestDeciding:
    def test_a_taken_question_is_a_prompt_of_nobody(self, alice: User, mo: User) -> None:
        taken = take(proposed(alice), mo)
        prompt = Message.objects.get(pk=taken.tree_id)
        assert (prompt.text, prompt.author, prompt.consent, prompt.synthetic) == (ASKED, None, mo.terms_version, False)
        assert MessageTree.objects.get(pk=taken.tree_id).state == State.INITIAL_PROMPT_REVIEW
        entry = AuditEntry.objects.get(act="hard_prompt.take")
        assert (entry.actor_id, entry.person_id) == (mo.pk, None)
        taken.refresh_from_db()
        assert (taken.status, taken.text) == ("taken", "")
        assert str(alice.pk) not in f"{entry.text.before} {entry.text.after} {entry.text.reason}"
        assert list(find_differences(POLICY)) == []
        erase_chats(alice.pk)
        assert Message.objects.filter(pk=prompt.pk).exists()

    def test_a_refused_question_is_not_proposed_again(self, alice: User, mo: User) -> None:
        proposal = proposed(alice)
        hard_prompts.refuse(proposal_id=proposal.pk, actor=mo, reason="Too vague.")
        assert hard_prompts.propose(POLICY) == 0
        proposal.refresh_from_db()
        assert (proposal.status, proposal.text, proposal.decided_by) == ("refused", "", mo)
        assert not Message.objects.exists()

    @pytest.mark.parametrize("who", ["bob", "alice"])
    def test_only_moderators_decide(self, who: str, alice: User, request: pytest.FixtureRequest) -> None:
        self._refused(proposed(alice), request.getfixturevalue(who), "moderators_only")

    def test_not_when_the_chat_was_deleted_or_is_not_to_be_used_any_more(self, alice: User, mo: User) -> None:
        proposal = proposed(alice)
        chat = Chat.objects.get(pk=proposal.question.chat_id)
        Chat.objects.filter(pk=chat.pk).update(allow_data_use=False)
        self._refused(proposal, mo, "proposal_not_found")
        Chat.objects.filter(pk=chat.pk).update(allow_data_use=True)
        delete_chat(user=alice, chat_id=chat.pk)
        self._refused(proposal, mo, "proposal_not_found")

    def test_a_moderator_of_another_language(self, alice: User, mo: User) -> None:
        mo.moderated_languages = ["de"]
        mo.save()
        self._refused(proposed(alice), mo, "other_language")

    def _refused(self, proposal: HardPrompt, actor: User, code: str) -> None:
        for decide in (
            lambda: take(proposal, actor),
            lambda: hard_prompts.refuse(proposal_id=proposal.pk, actor=actor, reason="No."),
        ):
            with pytest.raises(DomainError) as refusal:
                decide()
            assert refusal.value.code == code
        proposal.refresh_from_db()
        assert (proposal.status, proposal.text) == ("open", ASKED)
        assert not Message.objects.exists()
        assert not AuditEntry.objects.filter(act__startswith="hard_prompt").exists()

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.slow
    def test_two_of_staff_at_the_same_moment(self) -> None:
        alice, mo, max_ = new_person("Alice"), new_person("Mo", role="moderator"), new_person("Max", role="moderator")
        proposal = proposed(alice)
        results = at_once([lambda one=one: take(proposal, one) for one in (mo, max_)])  # type: ignore[misc]
        assert sum(isinstance(one, HardPrompt) for one in results) == 1
        (refused,) = [one for one in results if isinstance(one, Exception)]
        assert isinstance(refused, Conflict) and refused.code == "already_decided"
        assert Message.objects.count() == 1
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE core_auditentry CASCADE")

    def test_the_page_of_staff(self, alice: User, mo: User) -> None:
        nasty = "<script>alert(1)</script> what does this do in a browser?"
        proposal = proposed(alice, nasty)
        client = Client()
        client.force_login(mo)
        listed = client.get(reverse("admin:trees_hardprompt_changelist")).content.decode()
        assert "thumb down" in listed and "<script>alert(1)" not in listed
        for shown in (
            listed,
            client.get(reverse("admin:trees_hardprompt_change", args=[proposal.pk])).content.decode(),
        ):
            assert alice.display_name not in shown and str(alice.pk) not in shown
        sent = {"action": "take", "_selected_action": proposal.pk, "reason": "A good one."}
        client.post(reverse("admin:trees_hardprompt_changelist"), sent)
        assert Message.objects.get().text == nasty
