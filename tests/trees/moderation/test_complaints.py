"""Whose complaints count, what enough of them do, and that moderators' decisions hold."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.core import mail
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from django.utils.formats import date_format

from oasst.accounts import api_clients, closing
from oasst.accounts.models import ApiClient, Identity, User
from oasst.core.errors import Conflict, Gone, Invalid, NotAllowed
from oasst.core.models import WaitingJob
from oasst.core.text.lookalikes import skeleton
from oasst.site import purging as purges
from oasst.site.invariants import find_differences
from oasst.site.merging import merge_users
from tasks import assignment
from tasks.kinds import Kind
from tests.crowd import take
from tests.factories import (
    backdate,
    conversation,
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
from trees import jobs
from trees.contributing import corrections, reactions, reviews
from trees.interchange.importer import import_files
from trees.interchange.selection import Inclusion, Selection
from trees.interchange.writer import read_lines
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Deletion, Happening, Message, Opening, Proposal, Reaction, Report, Skip, TreeTransition
from trees.moderation import (
    auto_moderation,
    banned_authors,
    bans,
    client_actions,
    complaint_weights,
    moderator_actions,
    notices,
)
from trees.moderation.queries import count_trees, message_details, waiting_proposals
from trees.queries import HIDDEN, REMOVED, contributions_of, get_tree_for

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
Counter = Callable[..., Any]


@pytest.fixture(autouse=True)
def _nothing_disagrees(db: None, settings: Any) -> Iterator[None]:
    settings.RATE_LIMITS = False
    yield
    # The factories call the services directly, without tasks.
    assert [one for one in find_differences(POLICY) if one.check != "answers_come_from_a_task"] == []


def flag(message: Message, people: list[User], policy: TreePolicy = POLICY) -> bool:
    for person in people:
        reactions.report(message_id=message.pk, reporter=person, category="spam")
    return auto_moderation.moderate(message_id=message.pk, policy=policy)


def skip(message: Message, people: list[User], policy: TreePolicy = POLICY) -> bool:
    for person in people:
        reviews.record_skip(message=message, author=person, kind=Skip.Kind.REPLY)
    return auto_moderation.moderate(message_id=message.pk, policy=policy)


def fresh(message: Message) -> Message:
    return Message.objects.get(pk=message.pk)


def revise(message: Message, author: User | None, text: str) -> None:
    """The author rewrites it."""
    assert author is not None
    with transaction.atomic():
        locked = lock_tree(message.tree_id, POLICY)
        corrections.replace_text(locked, locked.message(message.pk), text=text, actor=author, reason="")
        transitions.advance(locked)


def invented(client: ApiClient, number: int, policy: TreePolicy = POLICY) -> list[User]:
    """Users whom only this API client knows, with everything that makes a complaint count."""
    people = new_veterans(number, policy)
    User.objects.filter(pk__in=[one.pk for one in people]).update(email=None)
    EmailAddress.objects.filter(user__in=people).delete()
    Identity.objects.bulk_create(
        Identity(user=one, api_client=client, auth_method="discord", username=str(one.pk)) for one in people
    )
    return list(User.objects.filter(pk__in=[one.pk for one in people]))


@pytest.fixture
def reply(alice: User) -> Message:
    """An accepted reply in a growing tree, with an accepted reply and one in review below."""
    made = new_reply(growing_tree(alice), new_person("Writer"))
    decide(made)
    below = new_reply(made, new_person("Asker"))
    decide(below)
    new_reply(below, new_person("Answerer"))
    return fresh(made)


class TestWhoseVoiceCounts:
    def test_four_invented_people_of_a_program_and_their_flags_do_nothing(self, reply: Message) -> None:
        """The attack that ended other users' conversations."""
        before = set(Opening.objects.values_list("message", "work"))
        bot = Wire("bot", trusted=False)
        for number in range(4):
            user = {"id": f"nobody{number}", "display_name": f"Nobody {number}", "auth_method": "discord"}
            bot.post("users/", user)  # it accepts the terms for them
            body = {"op": "add", "user": user, "emoji": "red_flag"}
            assert bot.post(f"messages/{reply.pk}/emoji", body).status_code == 202
        auto_moderation.moderate(message_id=reply.pk, policy=POLICY)
        found = fresh(reply)
        assert (found.deleted, found.hidden, found.emojis) == (False, False, {"red_flag": 4})
        assert not Deletion.objects.exists()
        assert not Proposal.objects.exists()
        assert Report.objects.filter(status="open").count() == 1  # a moderator reads it
        assert set(Opening.objects.values_list("message", "work")) == before

    def test_all_people_of_a_program_that_is_not_trusted_are_one_voice(self, reply: Message) -> None:
        bot, other = (api_clients.create_api_client(name=name)[0] for name in ("bot", "other"))
        assert not flag(reply, invented(bot, 5))
        assert complaint_weights.count_flags(reply.pk, POLICY) == 1
        assert not flag(reply, [*invented(other, 4), *new_veterans(1)])
        assert complaint_weights.count_flags(reply.pk, POLICY) == 3
        assert not fresh(reply).hidden

    def test_people_of_a_front_end_of_ours_count_one_each(self, reply: Message) -> None:
        client, _ = api_clients.create_api_client(name="website", trusted=True)
        assert flag(reply, invented(client, 4))

    def test_a_program_of_ones_own_token_changes_nothing(self, reply: Message) -> None:
        people = new_veterans(4)
        for person in people:
            client = ApiClient.objects.create(name="own", person=person)
            Identity.objects.create(user=person, api_client=client, auth_method="local", username="me")
        assert flag(reply, people)

    def test_a_hundred_newborn_accounts_weigh_nothing(self, reply: Message) -> None:
        names = [f"N {number}" for number in range(100)]
        people = User.objects.bulk_create(
            User(email=f"n{number}@example.org", display_name=name, name_skeleton=skeleton(name), owns_name=True)
            for number, name in enumerate(names)
        )
        Reaction.objects.bulk_create(Reaction(message=reply, author=one, emoji="red_flag") for one in people)
        Skip.objects.bulk_create(Skip(message=reply, author=one, kind="reply") for one in people)
        Message.objects.filter(pk=reply.pk).update(emojis={"red_flag": 100})
        assert (complaint_weights.count_flags(reply.pk, POLICY), complaint_weights.count_skips(reply.pk, POLICY)) == (
            0,
            0,
        )
        Reaction.objects.all().delete()
        Skip.objects.all().delete()
        Message.objects.filter(pk=reply.pk).update(emojis={})

    def test_age_alone_and_work_alone_are_not_enough(self, reply: Message, bob: User) -> None:
        User.objects.filter(pk=bob.pk).update(created_at=new_veterans(1)[0].created_at.replace(year=2020))
        flag(reply, [bob, new_person("Newcomer")])
        assert complaint_weights.count_flags(reply.pk, POLICY) == 0
        reviewer = new_person("Reviewer")
        prompts = [new_prompt(new_person("Asker")) for _ in range(3)]
        for prompt in prompts:
            review(prompt, reviewer)
            decide(prompt)
        flag(reply, [reviewer])
        assert complaint_weights.count_flags(reply.pk, POLICY) == 0
        backdate([reviewer], days=1)
        assert complaint_weights.count_flags(reply.pk, POLICY) == 1
        assert complaint_weights.count_flags(reply.pk, replace(POLICY, complaint_min_accepted=4)) == 0
        assert complaint_weights.count_flags(reply.pk, replace(POLICY, complaint_min_accepted=0)) == 3

    def test_four_accounts_of_this_minute_that_review_each_other_do_nothing(self, reply: Message) -> None:
        mob = new_people(4)
        for number, person in enumerate(mob):
            prompt = new_prompt(person, lang="vo")
            review(prompt, mob[(number + 1) % 4])
            review(prompt, mob[(number + 2) % 4])
        assert Message.objects.filter(author__in=mob, review_result=True).count() == 4
        assert not flag(reply, mob)
        assert complaint_weights.count_flags(reply.pk, POLICY) == 0
        backdate(mob, days=POLICY.complaint_least_age_days)
        assert complaint_weights.count_flags(reply.pk, POLICY) == 4

    def test_a_voice_hides_five_messages_at_once_and_then_waits_for_moderators(self, mo: User) -> None:
        mob = new_veterans(4)
        prompts = [new_prompt(new_person("Writer")) for _ in range(7)]
        for prompt in prompts:
            assert flag(prompt, mob)
        assert [fresh(prompt).hidden for prompt in prompts] == [True] * 5 + [False] * 2
        assert Proposal.objects.filter(status="open").count() == 7
        assert {state_of(prompt) for prompt in prompts[5:]} == {State.INITIAL_PROMPT_REVIEW}
        # Three of them and a free one are not enough either; four others are.
        assert not flag(prompts[5], new_veterans(1))
        assert flag(prompts[5], new_veterans(3))
        assert fresh(prompts[5]).hidden
        # Each decision for them frees one slot.
        first = Proposal.objects.get(message=prompts[0])
        moderator_actions.uphold(proposal_id=first.pk, actor=mo, reason="Copied.", policy=POLICY)
        moderator_actions.uphold(
            proposal_id=Proposal.objects.get(message=prompts[5]).pk, actor=mo, reason="So too.", policy=POLICY
        )
        assert auto_moderation.moderate(message_id=prompts[6].pk, policy=POLICY)
        assert fresh(prompts[6]).hidden

    def test_people_of_one_program_share_their_five(self) -> None:
        bot, _ = api_clients.create_api_client(name="bot")
        prompts = [new_prompt(new_person("Writer")) for _ in range(2)]
        policy = TreePolicy(complaint_most_open=1, auto_mod_red_flags=2)
        for prompt in prompts:
            flag(prompt, [*invented(bot, 1), *new_veterans(1)], policy)
        assert [fresh(prompt).hidden for prompt in prompts] == [True, False]

    def test_whose_complaints_are_mostly_unfounded_does_not_count_for_a_month(self, reply: Message, mo: User) -> None:
        mob = new_veterans(4)
        first, second = (new_prompt(new_person("Writer")) for _ in range(2))
        flag(first, mob)
        flag(second, mob)
        dismissed, upheld = (Proposal.objects.get(message=one) for one in (first, second))
        moderator_actions.dismiss(proposal_id=dismissed.pk, actor=mo, reason="Fine.", policy=POLICY)
        assert not flag(reply, mob)
        assert complaint_weights.count_flags(reply.pk, POLICY) == 0
        moderator_actions.uphold(proposal_id=upheld.pk, actor=mo, reason="Copied.", policy=POLICY)
        assert complaint_weights.count_flags(reply.pk, POLICY) == 4
        Proposal.objects.filter(pk=upheld.pk).update(status="dismissed")
        assert complaint_weights.count_flags(reply.pk, POLICY) == 0
        Proposal.objects.filter(status="dismissed").update(decided_at=timezone.now() - timedelta(days=31))
        assert complaint_weights.count_flags(reply.pk, POLICY) == 4
        Proposal.objects.filter(pk=upheld.pk).update(status="upheld")

    def test_a_dismissed_report_and_a_changed_text(self, reply: Message, mo: User) -> None:
        reporter, other = new_veterans(2)
        prompts = [new_prompt(new_person("Writer")) for _ in range(2)]
        report = reactions.report(message_id=prompts[0].pk, reporter=reporter, category="spam")
        moderator_actions.settle_report(report_id=report.pk, actor=mo, status="dismissed", outcome="No.", policy=POLICY)
        flag(prompts[1], [other, *new_veterans(3)])
        moderator_actions.edit_message(
            message_id=prompts[1].pk, actor=mo, text="Better.", reason="Typo.", policy=POLICY
        )
        flag(reply, [reporter, other])
        assert complaint_weights.count_flags(reply.pk, POLICY) == 1  # an edit is no decision about those who complained

    def test_reviews_against_the_outcome_are_no_standing(self, reply: Message) -> None:
        troll = new_person("Troll")
        for _ in range(3):
            prompt = new_prompt(new_person("Asker"))
            review(prompt, troll, spam=1)
            decide(prompt)
        flag(reply, [troll])
        assert complaint_weights.count_flags(reply.pk, POLICY) == 0

    def test_what_was_decided_lately_is_found_by_its_date(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {complaint_weights._FLAGS}", complaint_weights._parameters(UUID(int=0), POLICY))
            assert "proposal_decided_lately" in str(cursor.fetchall())

    def test_banned_and_closed_people_do_not_count_and_merged_ones_once(self, reply: Message, mo: User) -> None:
        people = new_veterans(4)
        for person in people:
            reactions.set_reaction(message_id=reply.pk, user=person, emoji="red_flag")
        bans.ban(people[0], actor=mo, reason="Rude.")
        assert complaint_weights.count_flags(reply.pk, POLICY) == 3
        merge_users(destination_id=people[1].pk, source_ids=[people[2].pk])
        assert complaint_weights.count_flags(reply.pk, POLICY) == 2
        assert not auto_moderation.moderate(message_id=reply.pk, policy=POLICY)

    def test_it_is_as_many_statements_with_ten_times_the_people(
        self, reply: Message, django_assert_num_queries: Counter
    ) -> None:
        few, many = new_veterans(3), new_people(30)
        flag(reply, few)
        with django_assert_num_queries(8):  # includes the savepoint of the test
            auto_moderation.moderate(message_id=reply.pk, policy=POLICY)
        flag(reply, many)
        with django_assert_num_queries(8):
            auto_moderation.moderate(message_id=reply.pk, policy=POLICY)


class TestReportsOfOneProgram:
    def report(self, program: Wire, message: Message, name: str, text: str) -> Any:
        user = {"id": name, "display_name": name, "auth_method": "discord"}
        body = {"user": user, "message_id": str(message.pk), "text": text, "labels": {}, "is_report": True}
        return program.post("text_labels/", body)

    def test_about_one_message_are_one(self, reply: Message, alice: User) -> None:
        bot, other, site = Wire("bot", trusted=False), Wire("other", trusted=False), Wire("website", trusted=True)
        for number in range(5):
            assert self.report(bot, reply, f"nobody{number}", f"Bad {number}.").status_code == 204
        only = Report.objects.get()
        assert only.text.split("\n\n") == [f"Bad {number}." for number in range(5)]
        self.report(other, reply, "nobody0", "Bad.")
        self.report(site, reply, "ada", "Bad.")
        self.report(site, reply, "bo", "Bad.")
        reactions.report(message_id=reply.pk, reporter=alice, category="spam")
        assert Report.objects.count() == 5

    def test_put_no_words_in_the_mouth_of_an_account(self, reply: Message) -> None:
        bot = Wire("bot", trusted=False)
        self.report(bot, reply, "ada", "Bad.")
        User.objects.filter(identities__username="ada").update(email="ada@example.org")
        self.report(bot, reply, "nobody", "Worse.")
        assert sorted(Report.objects.values_list("text", flat=True)) == ["Bad.", "Worse."]

    def test_are_no_longer_than_one_may_be(self, reply: Message) -> None:
        bot, _ = api_clients.create_api_client(name="bot")
        about: dict[str, Any] = {"message_id": reply.pk, "category": "spam", "limit": 10_000, "client": bot}
        one, other = invented(bot, 2)
        reactions.report(reporter=one, text="a" * 9_000, **about)
        reactions.report(reporter=other, text="b" * 9_000, **about)
        text = Report.objects.get().text
        assert (len(text), text[9_000:9_003], text[-1]) == (10_000, "\n\nb", "…")
        reactions.report(reporter=other, text="", **about)

    def test_who_fills_it_silences_nobody(self, reply: Message) -> None:
        bot = Wire("bot", trusted=False)
        assert self.report(bot, reply, "nobody", "a" * 10_000).status_code == 204
        assert self.report(bot, reply, "ada", "My address stands in it.").status_code == 204
        assert self.report(bot, reply, "ada", "Do you hear?").status_code == 204
        body = {"op": "add", "user": {"id": "bo", "display_name": "Bo", "auth_method": "discord"}, "emoji": "red_flag"}
        assert bot.post(f"messages/{reply.pk}/emoji", body).status_code == 202
        assert len(Report.objects.get().text) == 10_000
        assert fresh(reply).emojis == {"red_flag": 3}

    def test_ones_own_words_have_their_limit(self, reply: Message, bob: User) -> None:
        bot, _ = api_clients.create_api_client(name="bot")
        about: dict[str, Any] = {"message_id": reply.pk, "category": "spam", "client": bot, "reporter": bob}
        reactions.report(text="a" * 1_500, **about)
        with pytest.raises(Invalid) as refusal:
            reactions.report(text="b" * 1_500, **about)
        assert refusal.value.code == "too_long"

    def test_nobody_takes_back_what_another_said_it_is_about(self, reply: Message) -> None:
        bot, _ = api_clients.create_api_client(name="bot")
        for person, category in zip(invented(bot, 3), ("other", "hate", "spam"), strict=True):
            reactions.report(message_id=reply.pk, reporter=person, category=category, client=bot)
        assert Report.objects.get().category == "hate"

    def test_join_nobody_who_is_known_elsewhere(self, reply: Message) -> None:
        """Known to a trusted client, or by a sign-in here that came with a merge."""
        bot, site = (api_clients.create_api_client(name=name, trusted=name == "site")[0] for name in ("bot", "site"))
        made_up, trusted, with_address, with_service = invented(bot, 4)
        Identity.objects.create(user=trusted, api_client=site, auth_method="discord", username="1")
        EmailAddress.objects.create(user=with_address, email="ada@example.org", verified=True)
        SocialAccount.objects.create(user=with_service, provider="github", uid="1")
        people = [trusted, with_address, made_up, with_service]
        for person in [*people, *invented(bot, 1)]:
            reactions.report(
                message_id=reply.pk, reporter=person, category="spam", text=person.display_name, client=bot
            )
        assert {one.reporter for one in Report.objects.all()} == set(people)
        assert Report.objects.exclude(reporter=made_up).filter(text__contains="\n").count() == 0
        assert complaint_weights.count_flags(reply.pk, POLICY) == 4

    def test_the_pages_of_moderators_stay_small(self, reply: Message, mo: User) -> None:
        people = new_people(30)
        Report.objects.bulk_create(
            Report(message=reply, reporter=one, revision_id=reply.revision_id, text=f"{number} " + "x" * 9_000)
            for number, one in enumerate(people)
        )
        Report.objects.filter(reporter=people[-1]).update(status="dismissed")
        found = message_details(reply)
        assert (len(found.reports), found.more_reports) == (20, 10)
        assert {one.status for one in found.reports} == {"open"}
        client = Client()
        client.force_login(mo)
        proposal = Proposal.objects.create(
            message=reply, tree=reply.tree, revision_id=reply.revision_id, kind="flags", voices=1
        )
        page = client.get(f"/admin/trees/proposal/{proposal.pk}/change/").content.decode()
        assert "And 10 more" in page
        assert f'"/admin/trees/report/?q={reply.pk}"' in page
        for path in (f"message/{reply.pk}", f"messagetree/{reply.tree_id}"):
            page = client.get(f"/admin/trees/{path}/change/").content.decode()
            assert "And 10 more" in page
            about = path.partition("/")[2]
            assert f'"/admin/trees/report/?q={about}"' in page
            assert client.get("/admin/trees/report/", {"q": about}).context["cl"].queryset.count() == 30
            assert "x" * 400 not in page
            assert len(page) < 200_000
        Report.objects.all().delete()


class TestHiding:
    @pytest.fixture
    def work(self, reply: Message) -> set[tuple[Any, ...]]:
        return set(Opening.objects.values_list("message", "work"))

    @pytest.fixture
    def proposal(self, reply: Message, work: object) -> Proposal:
        assert flag(reply, new_veterans(4))
        return Proposal.objects.get()

    def test_it_destroys_nothing_and_a_dismissal_brings_back_everything(
        self, reply: Message, work: set[Any], proposal: Proposal, mo: User
    ) -> None:
        below = set(Message.objects.filter(tree=reply.tree_id).exclude(pk=reply.pk).values_list("pk", "deleted"))
        assert {deleted for _, deleted in below} == {False}
        assert not Deletion.objects.exists()
        assert state_of(reply) == State.GROWING
        resting = {reply.pk, *(m.pk for m in Message.objects.filter(tree=reply.tree_id, depth__gte=reply.depth))}
        now = set(Opening.objects.values_list("message", "work"))
        assert now == {one for one in work if one[0] not in resting}
        moderator_actions.dismiss(proposal_id=proposal.pk, actor=mo, reason="Fine.", policy=POLICY)
        assert not fresh(reply).hidden
        assert set(Opening.objects.values_list("message", "work")) == work
        assert (
            set(Message.objects.filter(tree=reply.tree_id).exclude(pk=reply.pk).values_list("pk", "deleted")) == below
        )

    def test_the_same_again_changes_nothing(self, reply: Message, proposal: Proposal) -> None:
        assert not auto_moderation.moderate(message_id=reply.pk, policy=POLICY)
        assert Happening.objects.filter(kind="removal_proposed").count() == 1

    def test_nobody_but_moderators_reads_it(self, reply: Message, proposal: Proposal, bob: User, mo: User) -> None:
        _, turn = get_tree_for(bob, reply.tree_id)
        assert turn.replies == []
        _, turn = get_tree_for(mo, reply.tree_id)
        assert (turn.replies[0].state, turn.replies[0].text) == ("waiting", reply.text)
        review_of_it = reply.reviews.first()
        assert review_of_it is not None
        shown = contributions_of(review_of_it.author).rows
        assert [row.excerpt for row in shown if row.kind == "review"] == [HIDDEN]
        assert reply.author is not None
        mine = contributions_of(reply.author).rows[0]
        assert (mine.state, mine.excerpt, mine.url) == ("waiting", HIDDEN, "")
        with pytest.raises(Exception, match="removed"):
            reactions.set_reaction(message_id=reply.pk, user=bob, emoji="+1")

    def test_nothing_leads_its_author_to_a_page_that_is_not_there(
        self, reply: Message, proposal: Proposal, client: Client, mo: User
    ) -> None:
        assert reply.author is not None
        client.force_login(reply.author)
        address = f"/messages/{reply.pk}/"
        page = client.get("/me/contributions/").text
        assert HIDDEN in page and address not in page.replace(f"{address}withdraw/", "")  # they may do that anyway
        assert address not in client.get("/me/points/").text
        moderator_actions.uphold(proposal_id=proposal.pk, actor=mo, reason="Copied.", policy=POLICY)
        assert REMOVED in client.get("/me/contributions/").text

    def test_below_a_hidden_prompt_there_is_text_and_no_page(self, reply: Message) -> None:
        assert reply.author is not None
        assert contributions_of(reply.author).rows[0].url
        flag(Message.objects.get(pk=reply.tree_id), new_veterans(4))
        row = contributions_of(reply.author).rows[0]
        assert (row.excerpt, row.url) == (reply.text, "")

    def test_programs_see_it_as_deleted(self, reply: Message, proposal: Proposal) -> None:
        bot, site = Wire("bot", trusted=False), Wire("website", trusted=True)
        seen = bot.get(f"messages/{reply.pk}").json()
        assert (seen["deleted"], seen["text"]) == (True, "")
        seen = site.get(f"messages/{reply.pk}").json()
        assert (seen["deleted"], seen["text"]) == (True, reply.text)
        for wire in (bot, site):
            assert reply.text not in str(wire.get(f"messages/{reply.tree_id}/tree").json())
            assert wire.get(f"messages/{reply.tree_id}/children").json() == []
            child = Message.objects.get(parent=reply)
            assert wire.get(f"messages/{child.pk}/conversation").status_code >= 400
        assert reply.text not in str(bot.get(f"messages/{reply.tree_id}/descendants").json())
        assert reply.pk not in {UUID(one["id"]) for one in site.get("messages/", max_count=100).json()}

    def test_what_was_begun_is_refused_and_kept(self, reply: Message, bob: User, mo: User, carol: User) -> None:
        below = Message.objects.get(parent__parent=reply)
        held = take(bob, POLICY, Kind.LABEL_ASSISTANT_REPLY)
        assert held.message_id == below.pk
        flag(reply, new_veterans(4))
        with pytest.raises(Gone) as refusal:
            review(below, bob)
        assert refusal.value.code == "message_hidden"
        with pytest.raises(Gone):
            new_reply(reply, bob)
        with pytest.raises(assignment.NothingToDo):
            take(carol, POLICY, Kind.LABEL_ASSISTANT_REPLY)
        moderator_actions.dismiss(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Fine.", policy=POLICY)
        review(below, bob)

    def test_the_tree_waits_before_it_is_ranked(self, alice: User, mo: User) -> None:
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        first = new_reply(prompt, new_person("Writer"), policy=policy)
        decide(first, policy=policy)
        flag(first, new_veterans(4, policy), policy)
        for _ in range(2):
            decide(new_reply(prompt, new_person("Writer"), policy=policy), policy=policy)
        assert (state_of(prompt), Opening.objects.filter(tree=prompt.pk).count()) == (State.GROWING, 0)
        moderator_actions.dismiss(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Fine.", policy=policy)
        assert state_of(prompt) == State.RANKING
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, policy)

    def test_it_is_not_in_the_data_set_until_somebody_has_decided(self, reply: Message, proposal: Proposal) -> None:
        text = "".join(read_lines(Selection(state=None)))
        assert text
        assert reply.text not in text
        assert reply.text in "".join(read_lines(Selection(state=None, deleted=Inclusion.WITH)))

    def test_a_prompt_stops_its_tree_and_ends_nothing(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice)
        reply = new_reply(prompt, new_person("Writer"))
        flag(prompt, new_veterans(4))
        assert (state_of(prompt), fresh(reply).deleted) == (State.HALTED_BY_MODERATOR, False)
        moderator_actions.uphold(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Copied.", policy=POLICY)
        assert (fresh(prompt).deleted, fresh(reply).deleted) == (True, True)
        moderator_actions.undelete(deletion_id=Deletion.objects.get().pk, actor=mo, reason="Not copied.", policy=POLICY)
        assert (state_of(prompt), fresh(reply).is_withheld) == (State.GROWING, False)


class TestWhatAModeratorDecidedStands:
    def test_three_reports_dismissed_and_a_fourth_flag(self, reply: Message, mo: User) -> None:
        people = new_veterans(5)
        flag(reply, people[:3])
        for report in Report.objects.all():
            moderator_actions.settle_report(
                report_id=report.pk, actor=mo, status="dismissed", outcome="Nothing wrong.", policy=POLICY
            )
        assert flag(reply, [people[3]])
        assert (fresh(reply).deleted, fresh(reply).hidden) == (False, False)
        proposal = Proposal.objects.get(status="open")
        assert (proposal.message, proposal.voices, proposal.acts) == (reply, 1, False)
        assert Report.objects.filter(status="open").count() == 1
        assert not flag(reply, [people[4]])  # one row is enough
        assert fresh(reply).emojis == {"red_flag": 5}  # what is shown stays

    @pytest.mark.parametrize(
        ("act", "status", "outcome"),
        [
            ("uphold", "upheld", "The message was removed: So be it."),
            ("dismiss", "dismissed", "The message stays: So be it."),
        ],
    )
    def test_it_answers_those_who_reported(self, reply: Message, mo: User, act: str, status: str, outcome: str) -> None:
        people = new_veterans(4)
        flag(reply, people)
        getattr(moderator_actions, act)(
            proposal_id=Proposal.objects.get().pk, actor=mo, reason="So be it.", policy=POLICY
        )
        answers = Report.objects.values_list("status", "outcome", "handled_by")
        assert list(answers) == [(status, outcome, mo.pk)] * 4
        told = Happening.objects.filter(kind="report_settled")
        assert {(one.subject, one.actor, one.data["status"]) for one in told} == {(one, mo, status) for one in people}
        assert told.count() == 4
        assert not Report.objects.filter(status="open").exists()

    def test_one_report_dismissed_answers_the_others_once(self, reply: Message, mo: User, client: Client) -> None:
        flag(reply, new_veterans(4))
        client.force_login(mo)
        chosen = {"action": "dismiss", "_selected_action": list(Report.objects.values_list("pk", flat=True))}
        page = client.post("/admin/trees/report/", {**chosen, "reason": "Fine."}, follow=True).text
        assert "Somebody has answered" not in page
        assert set(Report.objects.values_list("status", flat=True)) == {"dismissed"}
        assert Happening.objects.filter(kind="report_settled").count() == 4
        assert not fresh(reply).hidden

    def test_an_undone_deletion_and_one_more_flag(self, reply: Message, mo: User) -> None:
        people = new_veterans(9)
        flag(reply, people[:4])
        moderator_actions.uphold(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Copied.", policy=POLICY)
        moderator_actions.undelete(deletion_id=Deletion.objects.get().pk, actor=mo, reason="Not copied.", policy=POLICY)
        assert not auto_moderation.moderate(message_id=reply.pk, policy=POLICY)
        assert flag(reply, people[4:])
        assert not fresh(reply).is_withheld
        assert Proposal.objects.filter(status="open", hides=False, stops=False).count() == 1

    def test_an_automatic_deletion_of_old_times_is_undone_for_good(self, reply: Message, mo: User) -> None:
        people = new_veterans(5)
        flag(reply, people[:3])
        gone = moderator_actions.delete_message(
            message_id=reply.pk, actor=mo, reason="4 people flagged it.", policy=POLICY
        )
        Deletion.objects.filter(pk=gone.pk).update(actor=None)
        moderator_actions.undelete(deletion_id=gone.pk, actor=mo, reason="Fine.", policy=POLICY)
        flag(reply, people[3:])
        assert not fresh(reply).is_withheld

    def test_skips_that_stopped_a_tree(self, alice: User, mo: User) -> None:
        policy = TreePolicy(auto_mod_max_skip_reply=2)
        prompt = growing_tree(alice, policy)
        people = new_veterans(5)
        assert skip(prompt, people[:2], policy)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        moderator_actions.resume(tree_id=prompt.tree_id, actor=mo, reason="Fine.", policy=policy)
        assert not skip(prompt, people[2:3], policy)
        assert skip(prompt, people[3:], policy)
        assert (state_of(prompt), Proposal.objects.get(status="open").acts) == (State.GROWING, False)

    def test_an_unwanted_reply_that_goes_lets_the_tree_go_on(self, reply: Message, mo: User) -> None:
        policy = TreePolicy(auto_mod_max_skip_reply=2)
        assert skip(reply, new_veterans(2), policy)
        assert (state_of(reply), fresh(reply).hidden) == (State.HALTED_BY_MODERATOR, False)
        moderator_actions.uphold(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Unclear.", policy=policy)
        assert (state_of(reply), fresh(reply).deleted) == (State.GROWING, True)

    def test_a_new_text_is_a_new_case(self, reply: Message, mo: User) -> None:
        people = new_veterans(8)
        flag(reply, people[:4])
        revise(reply, reply.author, "Better.")
        assert (fresh(reply).hidden, fresh(reply).kept_at, Proposal.objects.get().status) == (False, None, "dismissed")
        assert not flag(reply, people[4:7])
        assert flag(reply, people[7:])
        assert fresh(reply).hidden

    def test_of_a_new_text_the_same_people_can_speak_again(self, reply: Message, mo: User, client: Client) -> None:
        """By emoji, by a report on the page, through an API client."""
        people, site = new_veterans(4), Wire("website", trusted=True)
        user = {"id": "ada", "display_name": "Ada", "auth_method": "discord"}
        known = ApiClient.objects.get(name="website")
        Identity.objects.create(user=people[3], api_client=known, auth_method="discord", username="ada")
        body = {"op": "add", "user": user, "emoji": "red_flag"}
        client.force_login(people[0])
        page, mine = f"/messages/{reply.pk}/", "You reported this"
        flag(reply, people)
        revise(reply, reply.author, "Better.")
        assert mine not in client.get(page).text
        assert [one.reported for one in get_tree_for(people[0], reply.tree_id)[1].replies] == [False]
        assert client.post(f"{page}report/", {"category": "spam"}).status_code == 302
        assert mine in client.get(page).text
        path, listed = f"messages/{reply.pk}", f"messages/{reply.pk}/conversation"
        assert site.get(path, user="discord:ada").json()["user_emojis"] == []
        assert site.get(listed, user="discord:ada").json()["messages"][-1]["user_emojis"] == []
        assert site.post(f"{path}/emoji", body).status_code == 202
        assert site.get(path, user="discord:ada").json()["user_emojis"] == ["red_flag"]
        assert site.get(listed, user="discord:ada").json()["messages"][-1]["user_emojis"] == ["red_flag"]
        reactions.set_reaction(message_id=reply.pk, user=people[1], emoji="red_flag")
        reactions.set_reaction(message_id=reply.pk, user=people[2], emoji="red_flag", on=True)
        assert fresh(reply).emojis == {"red_flag": 4}
        assert auto_moderation.moderate(message_id=reply.pk, policy=POLICY)
        assert fresh(reply).hidden
        assert set(Report.objects.values_list("status", "revision")) == {
            ("open", reply.revision_id),
            ("open", fresh(reply).revision_id),
        }
        moderator_actions.dismiss(
            proposal_id=Proposal.objects.get(status="open").pk, actor=mo, reason="Fine.", policy=POLICY
        )
        for shown in (3, 4):  # a moderator's decision holds
            assert reactions.set_reaction(message_id=reply.pk, user=people[1], emoji="red_flag").emojis == {
                "red_flag": shown
            }
        assert site.post(f"messages/{reply.pk}/emoji", body).status_code == 202
        assert complaint_weights.count_flags(reply.pk, POLICY) == 0
        assert mine in client.get(page).text

    def test_a_flag_of_an_earlier_text_is_taken_back(self, reply: Message, bob: User) -> None:
        flag(reply, [bob])
        revise(reply, reply.author, "Better.")
        found = reactions.set_reaction(message_id=reply.pk, user=bob, emoji="red_flag", on=False)
        assert (found.emojis, Reaction.objects.exists()) == ({}, False)

    def test_also_who_did_not_want_to_answer(self, alice: User, mo: User) -> None:
        """Through an API client: no task of the site asks them again."""
        policy, people = TreePolicy(auto_mod_max_skip_reply=2), new_veterans(2)
        prompt = growing_tree(alice, policy)
        assert skip(prompt, people, policy)
        revise(prompt, alice, "Better.")
        assert state_of(prompt) == State.GROWING
        assert not skip(fresh(prompt), people[:1], policy)
        assert skip(fresh(prompt), people[1:], policy)
        moderator_actions.resume(tree_id=prompt.pk, actor=mo, reason="Fine.", policy=policy)
        assert not skip(fresh(prompt), people, policy)
        assert complaint_weights.count_skips(prompt.pk, policy) == 0

    @pytest.mark.parametrize("way", ["edit", "back, edit", "edit, back", "edit, again, back", "edit, report"])
    def test_an_edit_forgets_no_dismissal(self, reply: Message, mo: User, way: str) -> None:
        people, other = new_veterans(4), new_prompt(new_person("Writer"))

        def put(on: bool) -> None:
            for person in people:
                reactions.set_reaction(message_id=reply.pk, user=person, emoji="red_flag", on=on)

        put(True)
        assert auto_moderation.moderate(message_id=reply.pk, policy=POLICY)
        moderator_actions.dismiss(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Fine.", policy=POLICY)
        for step in way.split(", "):
            if step == "edit":
                revise(reply, reply.author, "Better.")
            elif step == "report":
                flag(reply, people)
            else:
                put(step == "again")
        put(True)
        assert fresh(reply).emojis == {"red_flag": 4}
        assert not auto_moderation.moderate(message_id=reply.pk, policy=POLICY)
        assert not flag(other, people)
        assert [complaint_weights.count_flags(one.pk, POLICY) for one in (reply, other)] == [0, 0]
        Proposal.objects.update(decided_at=timezone.now() - timedelta(days=31))
        assert [complaint_weights.count_flags(one.pk, POLICY) for one in (reply, other)] == [4, 4]

    def test_nor_one_of_those_who_did_not_want_to_answer(self, alice: User, mo: User) -> None:
        policy, people = TreePolicy(auto_mod_max_skip_reply=2), new_veterans(2)
        prompt = growing_tree(alice, policy)
        assert skip(prompt, people, policy)
        moderator_actions.dismiss(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Fine.", policy=policy)
        revise(prompt, alice, "Better.")
        assert not skip(fresh(prompt), people, policy)
        assert not Skip.objects.exclude(voided_at=None).exists()
        assert complaint_weights.count_skips(prompt.pk, policy) == 0
        Proposal.objects.update(decided_at=timezone.now() - timedelta(days=31))
        assert complaint_weights.count_skips(prompt.pk, policy) == 2

    def test_the_words_of_a_moderator_are_a_decision(self, reply: Message, mo: User) -> None:
        people = new_veterans(8)
        flag(reply, people[:4])
        moderator_actions.edit_message(message_id=reply.pk, actor=mo, text="Better.", reason="Typo.", policy=POLICY)
        assert (fresh(reply).hidden, Proposal.objects.get().status) == (False, "dismissed")
        assert flag(reply, people)  # the earlier ones too
        assert complaint_weights.count_flags(reply.pk, POLICY) == 8
        assert (fresh(reply).hidden, Proposal.objects.get(status="open").acts) == (False, False)
        assert fresh(reply).author is not None
        revise(reply, reply.author, "Worse.")  # the author's again
        assert flag(reply, new_veterans(4))
        assert fresh(reply).hidden

    def test_who_was_overruled_cannot_open_it_again(self, reply: Message, mo: User) -> None:
        people = new_veterans(5)
        for person in people[:4]:
            reactions.set_reaction(message_id=reply.pk, user=person, emoji="red_flag")
        assert auto_moderation.moderate(message_id=reply.pk, policy=POLICY)
        moderator_actions.dismiss(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Fine.", policy=POLICY)
        User.objects.filter(pk=people[0].pk).update(role="moderator")  # whose complaint always counts
        for shown in (3, 4, 3, 4):
            found = reactions.set_reaction(message_id=reply.pk, user=people[0], emoji="red_flag")
            assert found.emojis == {"red_flag": shown}
            assert Reaction.objects.filter(message=reply, emoji="red_flag").count() == shown
            assert not auto_moderation.moderate(message_id=reply.pk, policy=POLICY)
        assert not Proposal.objects.filter(status="open").exists()
        assert flag(reply, people[4:])  # another user may ask once
        assert not Proposal.objects.get(status="open").acts
        reactions.set_reaction(message_id=reply.pk, user=people[0], emoji="red_flag", on=False)
        revise(reply, reply.author, "Another text.")
        reactions.set_reaction(message_id=reply.pk, user=people[0], emoji="red_flag", on=True)
        assert complaint_weights.count_flags(reply.pk, POLICY) == 1  # a new text is a new case

    def test_a_second_report_after_the_answer_is_the_first(self, reply: Message, mo: User, bob: User) -> None:
        first = reactions.report(message_id=reply.pk, reporter=bob, category="spam")
        moderator_actions.settle_report(report_id=first.pk, actor=mo, status="dismissed", outcome="No.", policy=POLICY)
        assert reactions.report(message_id=reply.pk, reporter=bob, category="hate", text="But!") == first
        assert (Report.objects.count(), Report.objects.get().status) == (1, "dismissed")
        page = Client()
        page.force_login(bob)
        said = page.post(f"/messages/{reply.pk}/report/", {"category": "spam"}, follow=True).content.decode()
        assert "You reported this text before" in said
        assert Report.objects.count() == 1
        revise(reply, reply.author, "Another text.")
        assert reactions.report(message_id=reply.pk, reporter=bob, category="hate").status == "open"

    def test_a_second_report_of_a_program_is_answered_alike(self, reply: Message, mo: User) -> None:
        bot = Wire("bot", trusted=False)
        body = {"op": "add", "user": {"id": "b", "display_name": "B", "auth_method": "discord"}, "emoji": "red_flag"}
        bot.post("users/", body["user"])
        for _ in range(3):
            for op in ("add", "remove", "add"):
                assert bot.post(f"messages/{reply.pk}/emoji", {**body, "op": op}).status_code == 202
            for report in Report.objects.filter(status="open"):
                moderator_actions.settle_report(
                    report_id=report.pk, actor=mo, status="dismissed", outcome="No.", policy=POLICY
                )
        assert Report.objects.count() == 1
        assert fresh(reply).emojis == {"red_flag": 1}

    def test_also_while_a_purge_has_the_text_away(self, reply: Message, mo: User) -> None:
        flag(reply, new_veterans(4))
        purge = purges.start_purge(user=reply.author, actor=mo, reason="Spam.")
        purges.continue_purge(purge_id=purge.pk, policy=POLICY)
        report = Report.objects.earliest("created_at")
        moderator_actions.settle_report(
            report_id=report.pk, actor=mo, status="dismissed", outcome="Fine.", policy=POLICY
        )
        purges.undo_purge(purge_id=purge.pk, actor=mo, reason="Wrong person.")
        purges.continue_purge(purge_id=purge.pk, policy=POLICY)
        found = fresh(reply)
        assert (found.is_withheld, found.kept_at is None) == (False, False)
        assert not auto_moderation.moderate(message_id=reply.pk, policy=POLICY)

    def test_nobody_decides_about_what_they_wrote(self, mo: User) -> None:
        sam, prompt = new_person("Sam", role="moderator"), new_prompt(mo)
        flag(prompt, new_veterans(4))
        proposal, report = Proposal.objects.get(), Report.objects.earliest("created_at")
        acts: list[Callable[[], Any]] = [
            lambda: moderator_actions.dismiss(proposal_id=proposal.pk, actor=mo, reason="Fine.", policy=POLICY),
            lambda: moderator_actions.settle_report(
                report_id=report.pk, actor=mo, status="dismissed", outcome="Fine.", policy=POLICY
            ),
            lambda: moderator_actions.resume(tree_id=prompt.pk, actor=mo, reason="Fine.", policy=POLICY),
            lambda: moderator_actions.edit_message(
                message_id=prompt.pk, actor=mo, text="B.", reason="Typo.", policy=POLICY
            ),
        ]
        for act in acts:
            with pytest.raises(NotAllowed) as refusal:
                act()
            assert refusal.value.code == "own_message"
        gone = moderator_actions.delete_message(message_id=prompt.pk, actor=sam, reason="Copied.", policy=POLICY)
        with pytest.raises(NotAllowed):
            moderator_actions.undelete(deletion_id=gone.pk, actor=mo, reason="Fine.", policy=POLICY)
        moderator_actions.undelete(deletion_id=gone.pk, actor=sam, reason="Fine.", policy=POLICY)
        assert not fresh(prompt).is_withheld

    def test_nobody_clears_themselves_by_deleting_and_bringing_back(self, mo: User) -> None:
        prompt = new_prompt(mo)
        flag(prompt, new_veterans(2))
        own = moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="Mine.", policy=POLICY)
        with pytest.raises(NotAllowed):
            moderator_actions.undelete(deletion_id=own.pk, actor=mo, reason="Fine.", policy=POLICY)
        assert complaint_weights.count_flags(prompt.pk, POLICY) == 2

    def test_nor_by_a_letter_while_others_do_not_want_to_answer(self, mo: User) -> None:
        prompt = growing_tree(mo)
        policy = TreePolicy(auto_mod_max_skip_reply=2)
        assert skip(prompt, new_veterans(2), policy)
        with pytest.raises(NotAllowed):
            moderator_actions.edit_message(
                message_id=prompt.pk, actor=mo, text="Another.", reason="Typo.", policy=policy
            )
        assert state_of(prompt) == State.HALTED_BY_MODERATOR

    @pytest.mark.parametrize("by_program", [False, True])
    def test_a_stop_by_a_moderator_outlasts_the_complaints(self, reply: Message, mo: User, by_program: bool) -> None:
        root = Message.objects.get(pk=reply.tree_id)
        flag(root, new_veterans(4))
        if by_program:
            assert Wire("website", trusted=True).put(f"messages/{root.pk}/tree/state", halt=True).status_code == 200
        else:
            moderator_actions.halt(tree_id=root.pk, actor=mo, reason="A claim.", policy=POLICY)
        moderator_actions.dismiss(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Fine.", policy=POLICY)
        assert (state_of(root), fresh(root).hidden) == (State.HALTED_BY_MODERATOR, False)
        moderator_actions.resume(tree_id=root.pk, actor=mo, reason="Settled.", policy=POLICY)
        assert state_of(root) == State.GROWING

    def test_a_stop_by_a_moderator_outlasts_a_deletion_a_ban_and_a_purge(self, mo: User) -> None:
        authors = [new_person(f"Author {number}") for number in range(3)]
        deleted, banned, purged = (new_prompt(author) for author in authors)
        gone = moderator_actions.delete_message(message_id=deleted.pk, actor=mo, reason="Copied.", policy=POLICY)
        bans.ban(authors[1], actor=mo, reason="Rude.")
        banned_authors.stop_or_resume_prompts(person_id=authors[1].pk, policy=POLICY)
        purge = purges.start_purge(user=authors[2], actor=mo, reason="Spam.")
        purges.continue_purge(purge_id=purge.pk, policy=POLICY)
        for prompt in (deleted, banned, purged):
            assert state_of(prompt) == State.HALTED_BY_MODERATOR
            moderator_actions.halt(tree_id=prompt.pk, actor=mo, reason="A claim.", policy=POLICY)
            steps = TreeTransition.objects.filter(tree=prompt.pk).count()
            moderator_actions.halt(tree_id=prompt.pk, actor=mo, reason="Again.", policy=POLICY)
            assert TreeTransition.objects.filter(tree=prompt.pk).count() == steps
        moderator_actions.undelete(deletion_id=gone.pk, actor=mo, reason="Not copied.", policy=POLICY)
        bans.unban(authors[1], actor=mo, reason="Polite.")
        banned_authors.stop_or_resume_prompts(person_id=authors[1].pk, policy=POLICY)
        purges.undo_purge(purge_id=purge.pk, actor=mo, reason="Wrong person.")
        purges.continue_purge(purge_id=purge.pk, policy=POLICY)
        for prompt in (deleted, banned, purged):
            assert (state_of(prompt), fresh(prompt).deleted) == (State.HALTED_BY_MODERATOR, False)
            moderator_actions.resume(tree_id=prompt.pk, actor=mo, reason="Settled.", policy=POLICY)
            assert state_of(prompt) == State.INITIAL_PROMPT_REVIEW

    def test_a_banned_authors_prompt_stays_stopped_until_they_are_back(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice)
        flag(prompt, new_veterans(4))
        bans.ban(alice, actor=mo, reason="Rude.")
        banned_authors.stop_or_resume_prompts(person_id=alice.pk, policy=POLICY)
        moderator_actions.dismiss(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Fine.", policy=POLICY)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        assert not Opening.objects.exists()
        bans.unban(alice, actor=mo, reason="Polite.")
        banned_authors.stop_or_resume_prompts(person_id=alice.pk, policy=POLICY)
        assert state_of(prompt) == State.INITIAL_PROMPT_REVIEW

    @pytest.mark.parametrize("order", ["delete unban undo", "delete undo unban", "unban delete undo"])
    def test_a_banned_authors_deleted_prompt_goes_on_when_both_are_back(
        self, alice: User, mo: User, order: str
    ) -> None:
        prompt = new_prompt(alice)
        bans.ban(alice, actor=mo, reason="Rude.")
        banned_authors.stop_or_resume_prompts(person_id=alice.pk, policy=POLICY)
        for act in order.split():
            assert state_of(prompt) == State.HALTED_BY_MODERATOR or act == "delete"
            if act == "delete":
                gone = moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="Copied.", policy=POLICY)
            elif act == "undo":
                moderator_actions.undelete(deletion_id=gone.pk, actor=mo, reason="Not copied.", policy=POLICY)
            else:
                bans.unban(alice, actor=mo, reason="Polite.")
                banned_authors.stop_or_resume_prompts(person_id=alice.pk, policy=POLICY)
        assert state_of(prompt) == State.INITIAL_PROMPT_REVIEW

    @pytest.mark.parametrize("how", ["deleted above", "purged"])
    def test_a_tree_does_not_wait_for_a_reply_that_is_gone(self, reply: Message, mo: User, how: str) -> None:
        policy, below = TreePolicy(auto_mod_max_skip_reply=2), Message.objects.get(parent=reply)
        assert skip(below, new_veterans(2), policy)
        assert state_of(reply) == State.HALTED_BY_MODERATOR
        if how == "purged":
            purge = purges.start_purge(user=below.author, actor=mo, reason="Spam.")
            purges.continue_purge(purge_id=purge.pk, policy=policy)
        else:
            gone = moderator_actions.delete_message(message_id=reply.pk, actor=mo, reason="Copied.", policy=policy)
        assert (state_of(reply), Proposal.objects.get().status) == (State.GROWING, "open")
        # A restored message is as before, and a decision resumes the tree.
        if how == "purged":
            purges.undo_purge(purge_id=purge.pk, actor=mo, reason="Wrong person.")
            purges.continue_purge(purge_id=purge.pk, policy=policy)
        else:
            moderator_actions.undelete(deletion_id=gone.pk, actor=mo, reason="Not copied.", policy=policy)
        assert (state_of(reply), waiting_proposals().count()) == (State.HALTED_BY_MODERATOR, 1)
        moderator_actions.dismiss(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Fine.", policy=policy)
        assert state_of(reply) == State.GROWING

    def test_the_wire_brings_back_what_is_hidden(self, reply: Message) -> None:
        flag(reply, new_veterans(4))
        below = Message.objects.get(parent=reply)
        assert Wire("website", trusted=True).put(f"messages/{below.pk}/undelete").status_code == 202
        assert (fresh(reply).hidden, Proposal.objects.get().status) == (False, "dismissed")
        assert fresh(reply).kept_at is not None

    def test_the_wire_lists_and_answers_flags_without_a_report(self, reply: Message) -> None:
        for person in new_veterans(4):
            reactions.set_reaction(message_id=reply.pk, user=person, emoji="red_flag", on=True)
        auto_moderation.moderate(message_id=reply.pk, policy=POLICY)
        site = Wire("website", trusted=True)
        listed = site.get("admin/flagged_messages", max_count=5).json()
        assert [(one["message_id"], one["processed"]) for one in listed] == [(str(reply.pk), False)]
        assert site.post(f"admin/flagged_messages/{reply.pk}/processed").json()["processed"]
        assert not fresh(reply).hidden
        assert site.get("admin/flagged_messages/cursor").json()["items"][0]["processed"]

    def test_a_program_that_looked_for_moderators(self, reply: Message) -> None:
        flag(reply, new_veterans(4))
        site = Wire("website", trusted=True)
        assert site.post(f"admin/flagged_messages/{reply.pk}/processed").json()["processed"]
        proposal = Proposal.objects.get()
        assert (proposal.status, fresh(reply).hidden) == ("dismissed", False)
        assert proposal.reason == "By the API client website."

    def test_strangers_and_latecomers_decide_nothing(self, reply: Message, mo: User, eve: User) -> None:
        flag(reply, new_veterans(4))
        proposal = Proposal.objects.get()
        for act in (moderator_actions.uphold, moderator_actions.dismiss):
            with pytest.raises(NotAllowed):
                act(proposal_id=proposal.pk, actor=eve, reason="Mine.", policy=POLICY)
            with pytest.raises(Invalid):
                act(proposal_id=proposal.pk, actor=mo, reason=" ", policy=POLICY)
        assert fresh(reply).hidden
        moderator_actions.dismiss(proposal_id=proposal.pk, actor=mo, reason="Fine.", policy=POLICY)
        with pytest.raises(Conflict) as refusal:
            moderator_actions.uphold(proposal_id=proposal.pk, actor=mo, reason="Bad.", policy=POLICY)
        assert refusal.value.code == "already_decided"
        assert not fresh(reply).is_withheld

    def test_what_is_hidden_below_something_deleted_comes_back_hidden(self, reply: Message, mo: User) -> None:
        below = Message.objects.get(parent=reply)
        flag(below, new_veterans(4))
        gone = moderator_actions.delete_message(message_id=reply.pk, actor=mo, reason="Copied.", policy=POLICY)
        proposal = Proposal.objects.get()
        with pytest.raises(Conflict) as refusal:
            moderator_actions.dismiss(proposal_id=proposal.pk, actor=mo, reason="Fine.", policy=POLICY)
        assert refusal.value.code == "already_deleted"
        moderator_actions.undelete(deletion_id=gone.pk, actor=mo, reason="Fine.", policy=POLICY)
        assert (fresh(below).hidden, Proposal.objects.get().status) == (True, "open")


class TestComplainersWhoAreShutOut:
    def follow(self, *people: User) -> None:
        for person in people:
            jobs.follow_standing(str(person.pk))
            jobs.follow_standing(str(person.pk))

    @pytest.mark.parametrize("how", ["ban", "purge"])
    def test_what_they_hid_is_shown_and_its_tree_goes_on(self, alice: User, mo: User, how: str) -> None:
        prompt, mob = growing_tree(alice), new_veterans(4)
        reply = new_reply(prompt, new_person("Writer"))
        decide(reply)
        work = set(Opening.objects.values_list("message", "work"))
        for message in (reply, prompt):
            assert flag(message, mob)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        if how == "ban":
            bans.ban(mob[0], actor=mo, reason="A mob.")
        else:
            purges.continue_purge(purge_id=purges.start_purge(user=mob[0], actor=mo, reason="A mob.").pk, policy=POLICY)
        assert WaitingJob.objects.filter(job="trees.jobs.follow_standing", args=[str(mob[0].pk)]).exists()
        self.follow(mob[0])
        assert (fresh(prompt).hidden, fresh(reply).hidden, state_of(prompt)) == (False, False, State.GROWING)
        assert set(Opening.objects.values_list("message", "work")) == work
        rows = Proposal.objects.order_by("created_at")
        assert [(one.status, one.acts) for one in rows] == [("open", False)] * 2
        assert not Reaction.objects.filter(voided_at__isnull=False).exists()
        assert not Message.objects.filter(kept_at__isnull=False).exists()
        assert flag(prompt, new_veterans(1))  # the others are still there
        assert (fresh(prompt).hidden, state_of(prompt)) == (True, State.HALTED_BY_MODERATOR)

    @pytest.mark.parametrize("how", ["close", "merge"])
    def test_also_who_leaves_or_is_one_with_another(self, reply: Message, how: str) -> None:
        mob = new_veterans(4)
        assert flag(reply, mob)
        if how == "close":
            closing.close_account(mob[0])
        else:
            merge_users(destination_id=mob[0].pk, source_ids=[mob[1].pk])
        waits = WaitingJob.objects.filter(job=jobs.follow_standing.name, args=[str(mob[0].pk)])
        assert waits.count() == 1
        self.follow(mob[0])
        assert (fresh(reply).hidden, Proposal.objects.get().status) == (False, "open")

    def test_where_enough_others_say_the_same_nothing_changes(self, reply: Message, mo: User) -> None:
        people = new_veterans(6)
        flag(reply, people[:4])
        Reaction.objects.bulk_create(Reaction(message=reply, author=one, emoji="red_flag") for one in people[4:])
        Message.objects.filter(pk=reply.pk).update(emojis={"red_flag": 6})
        self.follow(*people)  # nobody is banned
        for person in people[:2]:
            bans.ban(person, actor=mo, reason="Rude.")
        self.follow(*people[:2])
        assert fresh(reply).hidden

    def test_refusals_of_banned_people(self, alice: User, mo: User) -> None:
        policy = TreePolicy(auto_mod_max_skip_reply=2)
        prompt, people = growing_tree(alice, policy), new_veterans(2)
        assert skip(prompt, people, policy)
        bans.ban(people[0], actor=mo, reason="Rude.")
        assert auto_moderation.recount(person_id=people[0].pk, policy=policy) == 1
        assert auto_moderation.recount(person_id=people[0].pk, policy=policy) == 0
        assert (state_of(prompt), Proposal.objects.get().status) == (State.GROWING, "open")


class TestAuthorsHearOfIt:
    def tell(self) -> int:
        return sum(notices.mail_author(proposal_id=one) for one in Proposal.objects.values_list("pk", flat=True))

    def test_by_mail_once_for_each_decision(self, reply: Message, mo: User) -> None:
        people = new_veterans(4)
        assert reply.author is not None
        flag(reply, people)
        assert [self.tell(), self.tell()] == [1, 0]
        moderator_actions.dismiss(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Not so bad.", policy=POLICY)
        assert [self.tell(), self.tell()] == [1, 0]
        first, second = mail.outbox
        assert first.to == second.to == [reply.author.email]
        assert (first.subject, second.subject) == ("A message of yours is hidden for now", "Your message stays")
        assert "/me/contributions/" not in first.body  # not visible at the moment
        assert "/me/contributions/" in second.body
        written, begun = date_format(reply.created_at, "DATETIME_FORMAT"), date_format(reply.tree.created_at)
        which = f"on {written} UTC in a conversation of {begun}"
        assert f"reply that you wrote as the assistant {which}" in first.body
        for one in (first, second):
            assert not any(person.display_name in one.body for person in people)
            assert "spam" not in one.body

    @pytest.mark.parametrize(
        ("act", "subject"), [("uphold", "Your message was removed"), ("dismiss", "Your message stays")]
    )
    def test_a_quick_decision_is_one_mail(self, reply: Message, mo: User, act: str, subject: str) -> None:
        flag(reply, new_veterans(4))
        getattr(moderator_actions, act)(
            proposal_id=Proposal.objects.get().pk, actor=mo, reason="So be it.", policy=POLICY
        )
        assert self.tell() == 1
        assert [one.subject for one in mail.outbox] == [subject]

    @pytest.mark.parametrize("way", ["by a moderator", "by a program"])
    def test_a_removal_that_is_taken_back(self, reply: Message, mo: User, way: str) -> None:
        """An author who was told of the removal is told of the restoration."""
        flag(reply, new_veterans(4))
        proposal = Proposal.objects.get().pk
        moderator_actions.uphold(proposal_id=proposal, actor=mo, reason="Rude.", policy=POLICY)
        assert [self.tell(), self.tell()] == [1, 0]
        WaitingJob.objects.all().delete()
        if way == "by a program":
            client_actions.undelete_message(
                reply.pk, ApiClient.objects.create(name="Discord bot", trusted=True), mo, POLICY
            )
        else:
            moderator_actions.undelete(
                deletion_id=Deletion.objects.get().pk, actor=mo, reason="Not so bad.", policy=POLICY
            )
        jobs_for_mail = WaitingJob.objects.filter(job=notices.mail_author.name)
        assert [one.args for one in jobs_for_mail] == [[str(proposal)]]
        assert [self.tell(), self.tell()] == [1, 0]
        removed, back = mail.outbox
        assert (removed.subject, back.subject) == ("Your message was removed", "Your message is back")
        assert removed.to == back.to
        assert "reply that you wrote as the assistant" in back.body and "/me/contributions/" in back.body
        assert not any(words in back.body for words in ("Rude.", "Not so bad.", mo.display_name, reply.text))

    def test_nobody_is_told_of_a_removal_that_is_over(self, reply: Message, mo: User) -> None:
        flag(reply, new_veterans(4))
        moderator_actions.uphold(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Rude.", policy=POLICY)
        moderator_actions.undelete(deletion_id=Deletion.objects.get().pk, actor=mo, reason="Not so bad.", policy=POLICY)
        assert [self.tell(), self.tell()] == [1, 0]
        assert [one.subject for one in mail.outbox] == ["Your message stays"]
        # No one complained about this one: deleting and restoring it sends no mail.
        root = Message.objects.get(pk=reply.tree_id)
        deletion = moderator_actions.delete_message(message_id=root.pk, actor=mo, reason="Oops.", policy=POLICY)
        WaitingJob.objects.all().delete()
        moderator_actions.undelete(deletion_id=deletion.pk, actor=mo, reason="Sorry.", policy=POLICY)
        assert not WaitingJob.objects.filter(job=notices.mail_author.name).exists()

    def test_the_job_waits_for_the_commit(self, reply: Message, django_capture_on_commit_callbacks: Counter) -> None:
        people, sent = new_veterans(4), []
        with (
            mock.patch.object(notices.mail_author, "apply_async", lambda args, **_: sent.append(args)),
            django_capture_on_commit_callbacks(execute=True),
        ):
            flag(reply, people)
        assert sent == [(str(Proposal.objects.get().pk),)]

    def test_who_has_no_address_or_wrote_what_nothing_happened_to_gets_none(self, reply: Message, mo: User) -> None:
        people = new_veterans(5)
        flag(reply, people[:4])
        User.objects.filter(pk=reply.author_id).update(email=None)
        assert self.tell() == 0
        User.objects.filter(pk=reply.author_id).update(email="writer@example.org")
        moderator_actions.dismiss(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Fine.", policy=POLICY)
        self.tell()
        flag(reply, people[4:])  # only a row for the moderators
        assert Proposal.objects.filter(status="open").count() == 1
        assert len(mail.outbox) == 1

    @pytest.mark.parametrize("told", [True, False])
    def test_the_end_also_where_too_few_were_left(self, reply: Message, mo: User, told: bool) -> None:
        people = new_veterans(4)
        flag(reply, people)
        assert not told or self.tell() == 1
        bans.ban(people[0], actor=mo, reason="A mob.")
        assert auto_moderation.recount(person_id=people[0].pk, policy=POLICY) == 1
        assert self.tell() == 0  # nothing is decided, and it is no longer hidden
        WaitingJob.objects.all().delete()
        moderator_actions.dismiss(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Fine.", policy=POLICY)
        assert WaitingJob.objects.filter(job=notices.mail_author.name).exists() == told
        assert self.tell() == told
        assert [one.subject for one in mail.outbox[1:]] == ["Your message stays"] * told

    def test_the_outbox_tells_it(self, reply: Message, mo: User) -> None:
        flag(reply, new_veterans(4))
        moderator_actions.dismiss(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Fine.", policy=POLICY)
        told = Happening.objects.filter(kind__startswith="removal_").order_by("id")
        assert [(one.kind, one.actor, one.subject) for one in told] == [
            ("removal_proposed", None, reply.author),
            ("removal_dismissed", mo, reply.author),
        ]


class TestTheQueueOfModerators:
    def page(self, person: User, path: str, **data: Any) -> Any:
        client = Client()
        client.force_login(person)
        return client.post(path, data, follow=True) if data else client.get(path)

    def test_the_start_page_counts_them_and_actions_decide(self, reply: Message, mo: User, eve: User) -> None:
        people = new_veterans(4)
        reactions.report(message_id=reply.pk, reporter=people[0], category="spam", text="An advertisement for pans.")
        flag(reply, people)
        start = self.page(mo, "/admin/").content.decode()
        assert "that many complained about" in start
        assert "/admin/trees/proposal/?status__exact=open" in start
        listed = self.page(mo, "/admin/trees/proposal/?status__exact=open").content.decode()
        assert "the message is hidden" in listed
        proposal = Proposal.objects.get()
        detail = self.page(mo, f"/admin/trees/proposal/{proposal.pk}/change/").content.decode()
        assert reply.text in detail
        assert re.search(rf'/user/{reply.author_id}/change/"><span class="person"><bdi[^>]*>Writer<', detail)
        assert Message.objects.get(pk=reply.tree_id).text in detail
        assert str(reply.pk) not in re.sub(r'"[^"]*"', "", detail)  # people see no ids
        assert "Junk or advertising" in detail and "An advertisement for pans." in detail
        assert "desk-button--danger" in detail
        chosen = {"action": "dismiss", "_selected_action": str(proposal.pk), "reason": "Fine."}
        self.page(eve, "/admin/trees/proposal/", **chosen)
        assert fresh(reply).hidden
        self.page(mo, "/admin/trees/proposal/", **chosen)
        assert (fresh(reply).hidden, Proposal.objects.get().decided_by) == (False, mo)

    def test_a_conversation_without_its_prompt_waits_for_nobody(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice)
        flag(prompt, new_veterans(4))
        assert "flagged it or would not answer" in self.page(mo, "/admin/").text
        listed = "/admin/trees/messagetree/?state=halted_by_moderator&prompt=stands"
        assert count_trees()[1] == self.page(mo, listed).context["cl"].result_list.count() == 1
        moderator_actions.uphold(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Copied.", policy=POLICY)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        assert count_trees()[1] == len(self.page(mo, listed).context["cl"].result_list) == 0

    def test_what_was_deleted_meanwhile_waits_for_nobody(self, reply: Message, mo: User) -> None:
        below = Message.objects.get(parent=reply)
        flag(below, new_veterans(4))
        assert waiting_proposals().count() == 1
        moderator_actions.delete_message(message_id=reply.pk, actor=mo, reason="Copied.", policy=POLICY)
        assert waiting_proposals().count() == 0


def test_imported_texts_have_no_author_and_are_hidden_all_the_same(tmp_path: Any, mo: User) -> None:
    line = conversation()
    line["tree_state"] = "growing"
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(line))
    import_files([path], policy=POLICY)
    root = Message.objects.get(parent=None)
    flag(root, new_veterans(4))
    assert (fresh(root).hidden, notices.mail_author(proposal_id=Proposal.objects.get().pk)) == (True, False)
