"""People give chats to the data set: what goes, what is refused, and what becomes of it."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from inference.chats.cleanup import erase_chats
from inference.models import Chat, ChatReport, Turn
from oasst.accounts import account_bans, closing, consent
from oasst.accounts.models import User
from oasst.core.errors import Conflict, DomainError, Invalid, NotAllowed
from oasst.simulation.crowd.crowd import Crowd
from oasst.simulation.crowd.ledger import Ledger
from oasst.simulation.crowd.people import gather
from oasst.simulation.crowd.person import Habits
from oasst.simulation.crowd.service_client import ServiceClient
from oasst.site import merging
from oasst.site.invariants import find_differences
from tasks import assignment, lottery
from tasks.kinds import Kind
from tests.concurrency.together import at_once
from tests.crowd import work_until
from tests.factories import decide, new_person, new_prompt, new_reply, rank, review, work_until_state
from tests.leaderboard.test_tallies import read_all
from tests.trees.chats import SKY, answered_chat, answers, new_answer, questions
from trees import donations
from trees.contributing import withdrawal
from trees.interchange.forms import FORMS
from trees.interchange.selection import Inclusion, Selection
from trees.interchange.snapshots.frozen import read_record
from trees.interchange.writer import read_lines
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State, Work
from trees.models import Donation, Happening, Message, MessageTree, Opening, Revision, SnapshotTree, Withdrawal
from trees.policies.reading import current_policy
from trees.queries import contributions_of, conversation_to, get_tree_for

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
BRIEF = replace(POLICY, goal_tree_size=5, max_tree_depth=1, num_reviews_initial_prompt=1, num_reviews_reply=1)
MAIL = ("My address is tom.miller@wetter.de, what is it for?", "It is for mail: tom.miller@wetter.de.")


@pytest.fixture(autouse=True)
def _no_limits(settings: Any) -> Iterator[None]:
    settings.RATE_LIMITS = False
    settings.OASST_CHAT_MODEL = "tiny"
    return


def offer_of(person: User, chat: Chat, *, upto: UUID | None = None, alone: bool = False, lang: str = "en") -> Any:
    return donations.get_offer_for(person, chat.pk, upto=upto, alone=alone, lang=lang, policy=POLICY)


def give(
    person: User,
    chat: Chat,
    *,
    upto: UUID | None = None,
    alone: bool = False,
    lang: str = "en",
    keep: bool = False,
    policy: TreePolicy = POLICY,
) -> Donation:
    """Look at the page and press the button; with `keep`, without any mask."""
    part: dict[str, Any] = {"upto": upto, "alone": alone, "lang": lang, "policy": policy}
    offer = donations.get_offer_for(person, chat.pk, **part)
    masked = [] if keep else [spot.key for piece in offer.pieces for spot in piece.spots]
    return donations.give(user=person, chat_id=chat.pk, masked=masked, seen=offer.digest, **part)


def messages_of(given: Donation) -> list[Message]:
    return list(Message.objects.filter(tree=given.tree_id).order_by("depth", "position"))


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def refuses(code: str, person: User, chat: Chat, **part: Any) -> None:
    """Giving it is refused with this code, and leaves nothing."""
    before = (MessageTree.objects.count(), Message.objects.count(), Revision.objects.count(), Happening.objects.count())
    with pytest.raises(DomainError) as refusal:
        give(person, chat, **part)
    assert refusal.value.code == code
    assert refusal.value.message
    assert not Donation.objects.filter(chat=chat).exists()
    now = (MessageTree.objects.count(), Message.objects.count(), Revision.objects.count(), Happening.objects.count())
    assert now == before


class TestWhatBecomesOfIt:
    def test_a_chat_becomes_a_tree_whose_prompt_is_reviewed(self, alice: User) -> None:
        given = give(alice, answered_chat(alice))
        tree = given.tree
        assert (tree.state, tree.lang) == (State.INITIAL_PROMPT_REVIEW, "en")
        texts = [text for exchange in SKY for text in exchange]
        rows = messages_of(given)
        assert [one.text for one in rows] == texts
        assert [one.role for one in rows] == ["prompter", "assistant"] * 2
        assert [one.author_id for one in rows] == [alice.pk, None] * 2
        assert [(one.synthetic, one.model_name) for one in rows] == [(False, ""), (True, "tiny")] * 2
        assert {one.consent for one in rows} == {alice.terms_version}
        assert [one.parent_id for one in rows] == [None, *(one.pk for one in rows[:-1])]
        works = set(Opening.objects.filter(tree=tree).values_list("work", flat=True))
        assert works == {Work.LABEL_INITIAL_PROMPT.value}
        assert list(find_differences(POLICY)) == []

    def test_it_takes_part_in_the_lottery_and_others_answer_beside_the_model(self, alice: User) -> None:
        given = give(alice, answered_chat(alice, SKY[0]))
        prompt, answer = messages_of(given)
        decide(prompt)
        assert MessageTree.objects.get(pk=given.tree_id).state == State.PROMPT_LOTTERY_WAITING
        lottery.draw("en", POLICY)
        works = set(Opening.objects.filter(tree=given.tree_id).values_list("message_id", "work"))
        assert (answer.pk, Work.LABEL_ASSISTANT_REPLY.value) in works
        assert (prompt.pk, Work.ASSISTANT_REPLY.value) in works
        number = Opening.objects.filter(message=prompt, work=Work.ASSISTANT_REPLY.value).count()
        assert number == POLICY.max_children_count - 1  # the answer of the model counts as one of them

    def test_it_is_ranked_exported_and_frozen_with_its_marks(self, alice: User, tmp_path: Path) -> None:
        given = give(alice, answered_chat(alice, SKY[0]), policy=BRIEF)
        work_until(given.tree, State.GROWING, BRIEF)
        work_until(given.tree, State.READY_FOR_EXPORT, BRIEF)
        answer = messages_of(given)[1]
        assert answer.review_result and answer.rank is not None and answer.ranking_count == BRIEF.num_required_rankings
        assert list(find_differences(BRIEF)) == []
        assert given.tree_id not in {UUID(json.loads(line)["message_tree_id"]) for line in read_lines(Selection())}
        (exported,) = read_lines(Selection(synthetic=Inclusion.WITH, state=State.READY_FOR_EXPORT))
        (of_the_model,) = [one for one in json.loads(exported)["prompt"]["replies"] if one["synthetic"]]
        assert (of_the_model["text"], of_the_model["model_name"]) == (SKY[0][1], "tiny")
        options = {"name": "2026.9", "include_synthetic": True, "output": tmp_path / "snapshot"}
        call_command("snapshot_create", stdout=StringIO(), **options)
        record = read_record(SnapshotTree.objects.get(tree_id__isnull=False))
        by_text = {reply["text"]: reply for reply in record.tree["prompt"]["replies"]}
        of_the_model = by_text.pop(SKY[0][1])
        assert (of_the_model["synthetic"], of_the_model["model_name"], of_the_model["user_id"]) == (True, "tiny", None)
        assert of_the_model["basis"] == f"terms {alice.terms_version}"
        assert len(by_text) == 2 and not any(reply["synthetic"] for reply in by_text.values())
        rows = {form.name: json.dumps(list(form.rows(record)), default=str) for form in FORMS}
        assert {name for name, text in rows.items() if SKY[0][1] in text} == {"messages"}
        assert '"decided_by"' in rows["kto"] or '"chosen"' in rows["pairs"]

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.slow
    def test_the_simulated_crowd_brings_it_to_its_end(self, settings: Any) -> None:
        settings.TREE_POLICY = {
            "goal_tree_size": 4,
            "max_tree_depth": 2,
            "num_reviews_initial_prompt": 1,
            "num_reviews_reply": 1,
        }
        policy = current_policy()
        alice = new_person("Alice")
        given = give(alice, answered_chat(alice, SKY[0]), policy=policy)
        people = gather(9, make_client=lambda user, _: ServiceClient(user, "en", policy), policy=policy, seed=7)
        diligent = [replace(one, habits=Habits(calls_junk=0, skips=0, leaves=0)) for one in people]
        crowd = Crowd(diligent, concurrency=3, trees=0, ledger=Ledger(None))
        for person in crowd.people:
            person.client.enter()
        crowd.start()
        try:
            until = time.monotonic() + 60
            while MessageTree.objects.get(pk=given.tree_id).state != State.READY_FOR_EXPORT:
                assert crowd.failure is None and time.monotonic() < until, crowd.tally
                time.sleep(0.1)
        finally:
            crowd.stop()
        crowd.tidy_up()
        assert messages_of(given)[1].ranking_count >= policy.num_required_rankings
        assert list(find_differences(policy)) == []

    def test_points_go_to_the_person_alone(self, alice: User) -> None:
        given = give(alice, answered_chat(alice, SKY[0]))
        prompt, answer = messages_of(given)
        decide(prompt)
        lottery.draw("en", POLICY)
        decide(answer)
        read_all()
        posted = Happening.objects.filter(kind=Happening.Kind.MESSAGE_POSTED, tree=given.tree_id).order_by("pk")
        assert list(posted.values_list("actor", "subject")) == [(alice.pk, alice.pk), (None, None)]

    def test_the_person_sees_it_among_their_contributions(self, alice: User) -> None:
        given = give(alice, answered_chat(alice))
        rows = contributions_of(alice).rows
        assert {(row.kind, row.excerpt) for row in rows} == {("prompt", SKY[0][0]), ("reply", SKY[1][0])}
        page = signed_in(alice).get(reverse("contributions"))
        assert reverse("tree", args=[given.tree_id]) in page.content.decode()


class TestNobodyWhoJudgesIsTold:
    def test_pages_tell_the_model_when_it_is_finished(self, alice: User, bob: User) -> None:
        given = give(alice, answered_chat(alice, SKY[0]))
        answer = messages_of(given)[1]

        def is_told() -> bool:
            _, root = get_tree_for(bob, given.tree_id)
            return root.replies[0].synthetic

        assert not is_told()
        for state in (State.PROMPT_LOTTERY_WAITING, State.GROWING, State.RANKING):
            MessageTree.objects.filter(pk=given.tree_id).update(state=state.value)
            assert not is_told()
        MessageTree.objects.filter(pk=given.tree_id).update(state=State.READY_FOR_EXPORT.value)
        assert is_told()
        assert not any(one.synthetic for one in conversation_to(answer, bob))

    def test_who_gave_it_judges_none_of_the_answers_of_the_model(self, alice: User, bob: User) -> None:
        given = give(alice, answered_chat(alice, SKY[0]), policy=BRIEF)
        prompt, answer = messages_of(given)
        decide(prompt, policy=BRIEF)
        lottery.draw("en", BRIEF)
        with pytest.raises(assignment.NothingToDo):
            assignment.request_task(user=alice, lang="en", kind=Kind.LABEL_ASSISTANT_REPLY, policy=BRIEF)
        with pytest.raises(NotAllowed) as refusal:
            review(answer, alice, policy=BRIEF)
        assert refusal.value.code == "own_message"
        task = assignment.request_task(user=bob, lang="en", kind=Kind.LABEL_ASSISTANT_REPLY, policy=BRIEF)
        assert task.message_id == answer.pk
        assignment.skip(task_id=task.pk, user=bob, policy=BRIEF, reason="", note="")
        work_until_state(given.tree_id, State.RANKING, BRIEF)
        with pytest.raises(assignment.NothingToDo):
            assignment.request_task(user=alice, lang="en", kind=Kind.RANK_ASSISTANT_REPLIES, policy=BRIEF)
        with pytest.raises(NotAllowed) as refused:
            rank(prompt, alice, policy=BRIEF)
        assert refused.value.code == "own_reply"


class TestWhatGoes:
    def test_personal_data_is_masked_unless_the_person_says_otherwise(self, alice: User) -> None:
        given = give(alice, answered_chat(alice, MAIL))
        assert [one.text for one in messages_of(given)] == [
            "My address is [e-mail address], what is it for?",
            "It is for mail: [e-mail address].",
        ]
        assert given.masked == 2
        kept = answered_chat(alice, (f"Once more: {MAIL[0]}", MAIL[1]))
        assert "tom.miller@wetter.de" in messages_of(give(alice, kept, keep=True))[0].text

    def test_one_exchange_alone(self, alice: User) -> None:
        chat = answered_chat(alice)
        given = give(alice, chat, upto=answers(chat)[1].pk, alone=True)
        assert [one.text for one in messages_of(given)] == list(SKY[1])

    def test_a_shorter_part(self, alice: User) -> None:
        chat = answered_chat(alice)
        assert len(messages_of(give(alice, chat, upto=answers(chat)[0].pk))) == 2

    def test_another_version_of_the_answer(self, alice: User) -> None:
        chat = answered_chat(alice, SKY[0])
        other = new_answer(questions(chat)[0], "Because of Rayleigh scattering.")
        assert messages_of(give(alice, chat, upto=other.pk))[1].text == "Because of Rayleigh scattering."

    def test_no_deeper_than_a_conversation_may_be(self, alice: User) -> None:
        chat = answered_chat(alice, *SKY, ("And at night?", "Then it is dark."))
        offer = offer_of(alice, chat)
        assert len(offer.pieces) == 4
        assert "at most 2 questions" in offer.left_out
        assert len(messages_of(give(alice, chat))) == 4
        assert list(find_differences(POLICY)) == []

    def test_it_ends_before_what_cannot_go(self, alice: User) -> None:
        chat = answered_chat(alice)
        Turn.objects.filter(pk=answers(chat)[1].pk).update(state="failed")
        offer = offer_of(alice, chat)
        assert (len(offer.pieces), offer.left_out) == (2, "This answer was not finished.")

    def test_a_chat_that_helps_nothing_else_can_be_given(self, alice: User) -> None:
        assert give(alice, answered_chat(alice, allow_data_use=False)).tree_id

    def test_hostile_texts_stay_texts(self, alice: User) -> None:
        nasty = "<script>alert(1)</script> [x](javascript:alert(1)) is what?"
        chat = answered_chat(alice, (nasty, f"That is {nasty}"))
        page = signed_in(alice).get(reverse("chat_give", args=[chat.pk])).content.decode()
        assert "<script>alert(1)" not in page
        assert 'href="javascript' not in page
        assert [one.text for one in messages_of(give(alice, chat))] == [nasty, f"That is {nasty}"]


class TestRefused:
    @pytest.mark.parametrize(
        ("code", "turn"),
        [
            ("unfinished", {"state": "stopped"}),
            ("unfinished", {"state": "timeout"}),
            ("unfinished", {"state": "pending", "ended_at": None}),
            ("cut_off", {"finish_reason": "length"}),
            ("by_program", {"by_program": True}),
            ("by_program", {"prompt": [{"role": "user", "content": "Hi"}]}),
        ],
    )
    def test_an_answer_that_is_none(self, alice: User, code: str, turn: dict[str, Any]) -> None:
        chat = answered_chat(alice, SKY[0])
        Turn.objects.filter(pk=answers(chat)[0].pk).update(**turn)
        refuses(code, alice, chat)

    def test_what_was_reported(self, alice: User) -> None:
        chat = answered_chat(alice, SKY[0])
        ChatReport.objects.create(message=answers(chat)[0], user=alice, kind="offensive", reason="Rude.")
        refuses("reported", alice, chat)

    def test_chats_that_are_out_of_sight(self, alice: User, eve: User) -> None:
        refuses("chat_hidden", alice, answered_chat(alice, hidden=True))
        refuses("nothing_to_give", alice, Chat.objects.create(user=alice))
        refuses("chat_not_found", eve, answered_chat(alice))
        deleted = answered_chat(alice)
        Chat.objects.filter(pk=deleted.pk).update(deleted_at="2026-01-01T00:00Z")
        refuses("chat_not_found", alice, deleted)
        refuses("message_not_found", alice, answered_chat(alice), upto=answers(answered_chat(eve))[0].pk)
        refuses("message_not_found", alice, answered_chat(alice), upto=uuid4())

    def test_people_who_may_not_contribute(self, alice: User, mo: User) -> None:
        chat = answered_chat(alice)
        consent.withdraw_terms(alice)
        refuses("terms_missing", alice, chat)
        consent.accept_terms(alice)
        account_bans.ban(alice, actor=mo, reason="Spam.")
        alice.refresh_from_db()
        refuses("suspended", alice, chat)

    def test_texts_that_do_not_fit(self, alice: User) -> None:
        refuses("does_not_fit", alice, answered_chat(alice, (SKY[0][0], "long " * 500)))

    def test_what_was_given_already(self, alice: User) -> None:
        chat = answered_chat(alice)
        given = give(alice, chat, upto=answers(chat)[1].pk, alone=True)
        before = Message.objects.count()
        with pytest.raises(Conflict) as refusal:
            give(alice, chat)
        assert refusal.value.code == "part_given"
        assert (Donation.objects.get(), Message.objects.count()) == (given, before)

    def test_while_too_many_prompts_wait(self, alice: User, bob: User) -> None:
        new_prompt(bob)
        refuses("enough_prompts", alice, answered_chat(alice), policy=replace(POLICY, max_initial_prompt_review=1))

    def test_the_same_prompt_a_moment_ago(self, alice: User) -> None:
        new_prompt(alice, SKY[0][0])
        refuses("duplicate", alice, answered_chat(alice))

    def test_what_the_page_did_not_show(self, alice: User) -> None:
        chat = answered_chat(alice)
        seen = offer_of(alice, chat, upto=answers(chat)[0].pk).digest
        with pytest.raises(Conflict) as refusal:
            donations.give(
                user=alice, chat_id=chat.pk, upto=None, alone=False, lang="en", masked=[], seen=seen, policy=POLICY
            )
        assert refusal.value.code == "chat_changed"
        assert not Donation.objects.exists()

    def test_a_language_that_is_none(self, alice: User) -> None:
        with pytest.raises(Invalid):
            give(alice, answered_chat(alice), lang="no language")
        assert not Donation.objects.exists()


class TestAgain:
    def test_giving_it_twice_leads_to_the_same_tree(self, alice: User) -> None:
        chat = answered_chat(alice)
        given, number = give(alice, chat), Message.objects.count()
        assert give(alice, chat) == given
        assert Message.objects.count() == number

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.slow
    def test_two_clicks_at_the_same_moment(self) -> None:
        alice = new_person("Alice")
        chat = answered_chat(alice)
        results = at_once([lambda: give(User.objects.get(pk=alice.pk), chat)] * 8)
        assert {one.pk for one in results if isinstance(one, Donation)} == {Donation.objects.get().pk}
        assert all(isinstance(one, Donation) for one in results), results
        assert Message.objects.count() == 4


class TestTakingItBack:
    def test_the_answers_of_the_model_go_with_the_question(self, alice: User) -> None:
        given = give(alice, answered_chat(alice))
        withdrawn = withdrawal.withdraw(message_id=given.tree_id, author=alice, policy=POLICY)
        assert withdrawn.status == Withdrawal.Status.GRANTED
        assert all(one.deleted for one in messages_of(given))
        assert list(find_differences(POLICY)) == []

    def test_a_moderator_decides_when_others_answered(self, alice: User, bob: User) -> None:
        given = give(alice, answered_chat(alice, SKY[0]))
        prompt = messages_of(given)[0]
        decide(prompt)
        lottery.draw("en", POLICY)
        new_reply(prompt, bob)
        withdrawn = withdrawal.withdraw(message_id=prompt.pk, author=alice, policy=POLICY)
        assert withdrawn.status == Withdrawal.Status.OPEN
        assert not any(one.deleted for one in messages_of(given))

    def test_the_tree_outlives_the_chat_and_the_account(self, alice: User) -> None:
        given = give(alice, answered_chat(alice))
        erase_chats(alice.pk)
        closing.close_account(alice)
        given.refresh_from_db()
        assert (given.chat_id, len(messages_of(given))) == (None, 4)

    def test_it_follows_the_person_into_another_account(self, alice: User, bob: User) -> None:
        given = give(alice, answered_chat(alice))
        merging.merge_users(destination_id=bob.pk, source_ids=[alice.pk])
        given.refresh_from_db()
        assert given.user == bob


class TestThePage:
    def test_from_the_chat_to_the_tree(self, alice: User) -> None:
        client, chat = signed_in(alice), answered_chat(alice, MAIL)
        give_url = reverse("chat_give", args=[chat.pk])
        assert give_url in client.get(reverse("chat", args=[chat.pk])).content.decode()
        page = client.get(give_url)
        body = page.content.decode()
        assert "[e-mail address], what is it for?" in body
        fields = form_fields(body)
        assert fields["mask"] and fields["lang"] == ["en"]
        shown = client.post(give_url, {**fields, "mask": fields["mask"][:1], "look": "1"}).content.decode()
        assert "It is for mail: tom.miller@wetter.de" in re.sub(r"<[^>]+>", "", shown)
        assert not Donation.objects.exists()
        answer = client.post(give_url, {**fields, "mask": fields["mask"][:1], "give": "1"})
        given = Donation.objects.get()
        assert answer.url == reverse("tree", args=[given.tree_id])  # type: ignore[attr-defined]
        assert messages_of(given)[1].text == MAIL[1]
        again = client.post(give_url, {**fields, "give": "1"})
        assert again.url == answer.url  # type: ignore[attr-defined]
        assert "You gave it on" in client.get(give_url).content.decode()
        assert reverse("tree", args=[given.tree_id]) in client.get(reverse("chat", args=[chat.pk])).content.decode()

    def test_a_refusal_says_why(self, alice: User) -> None:
        chat = answered_chat(alice, hidden=True)
        page = signed_in(alice).get(reverse("chat_give", args=[chat.pk]))
        assert "This chat is hidden." in page.content.decode()
        assert page.content.decode().count('name="give"') == 0

    def test_an_error_is_shown_and_keeps_the_choices(self, alice: User) -> None:
        client, chat = signed_in(alice), answered_chat(alice, MAIL)
        url = reverse("chat_give", args=[chat.pk])
        fields = form_fields(client.get(url).content.decode())
        new_prompt(alice, "My address is [e-mail address], what is it for?")
        refused = client.post(url, {**fields, "give": "1"})
        assert refused.status_code == 409
        assert "You sent exactly this text" in refused.content.decode()
        assert form_fields(refused.content.decode())["mask"] == fields["mask"]

    def test_strangers_and_visitors(self, alice: User, eve: User) -> None:
        url = reverse("chat_give", args=[answered_chat(alice).pk])
        assert Client().get(url).status_code == 302
        assert signed_in(eve).get(url).status_code == 404
        assert signed_in(eve).post(url, {"lang": "en", "give": "1"}).status_code == 404
        assert not Donation.objects.exists()

    def test_a_long_chat_costs_no_more_statements(self, alice: User) -> None:
        client = signed_in(alice)
        short, long = answered_chat(alice, SKY[0]), answered_chat(alice, *(SKY * 10))
        costs = []
        for chat in (short, long):
            client.get(reverse("chat_give", args=[chat.pk]))
            with CaptureQueriesContext(connection) as captured:
                client.get(reverse("chat_give", args=[chat.pk]))
            costs.append(len(captured))
        assert costs[0] == costs[1] <= 12


def form_fields(body: str) -> dict[str, list[str]]:
    """Return what a browser would send of the form, without its buttons."""
    fields: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]+>", body):
        found = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if found.get("name") in ("upto", "alone", "seen", "similar_seen") or (
            found.get("name") == "mask" and " checked" in tag
        ):
            fields.setdefault(found["name"], []).append(found["value"])
    chosen = re.search(r'<option value="([^"]+)" selected', body)
    return {**fields, "lang": [chosen[1] if chosen else ""]}
