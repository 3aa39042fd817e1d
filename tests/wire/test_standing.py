"""API clients and decisions of moderators: bans, purges, merged and closed accounts."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.db import transaction
from django.db.models import F

from oasst.accounts.closing import close_account
from oasst.accounts.models import Ban, Identity, User
from oasst.core.errors import Conflict, NotAllowed
from oasst.site import purging
from oasst.site.invariants.run import find_differences
from oasst.site.schedules import look_after_purges
from tests.factories import growing_tree, new_person, new_prompt, new_reply
from tests.wire.conftest import Wire, code_of, person
from trees.contributing import reviews
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Purge, Review, Revision
from trees.moderation import bans, moderator_actions
from trees.moderation.banned_authors import stop_or_resume_prompts
from trees.policies.reading import current_policy

pytestmark = pytest.mark.django_db
ADA, BO = person("Ada"), person("Bo")


def purge(user: User, actor: User) -> Purge:
    return purging.continue_purge(
        purge_id=purging.start_purge(user=user, actor=actor, reason="Spam.").pk, policy=current_policy()
    )


def author_of(message: Message) -> User:
    assert message.author is not None
    return message.author


def erase(purge: Purge) -> None:
    Message.objects.update(created_at=F("created_at") - timedelta(days=31))
    Purge.objects.filter(pk=purge.pk).update(finished_at=F("finished_at") - timedelta(days=31))
    look_after_purges()
    purge.refresh_from_db()
    assert purge.erased_at is not None


def state_of(message: Message) -> str:
    return MessageTree.objects.get(pk=message.tree_id).state


class TestBans:
    def test_by_a_program_is_a_ban_like_any_other(
        self, site: Wire, bot: Wire, django_capture_on_commit_callbacks: Any
    ) -> None:
        def put(*, enabled: bool) -> None:
            for _ in range(2):
                with django_capture_on_commit_callbacks() as jobs:
                    assert site.put(f"users/{ada.pk}", enabled=enabled).status_code == 204
                if jobs:
                    stop_or_resume_prompts(person_id=ada.pk, policy=current_policy())

        prompt = bot.write(ADA, "How do plants drink?", "m1")
        ada = author_of(prompt)
        put(enabled=False)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        ban = Ban.objects.get()
        assert (ban.user, ban.actor, ban.lifted_at) == (ada, None, None)
        assert "site" in ban.reason
        put(enabled=True)
        assert state_of(prompt) == State.INITIAL_PROMPT_REVIEW
        ban.refresh_from_db()
        assert ban.lifted_at is not None and ban.lifted_by is None and "site" in ban.lift_reason
        assert list(find_differences(current_policy())) == []

    def test_it_outlives_the_account(self, site: Wire, bot: Wire) -> None:
        """For API clients, a user who returns under the same name looks like any banned user."""
        assert bot.post("frontend_users/", ADA).json()["enabled"]
        ada = Identity.objects.get(username="ada").user
        site.put(f"users/{ada.pk}", enabled=False)
        before = code_of(bot.ask(ADA))
        assert site.delete(f"users/{ada.pk}").status_code == 204
        assert code_of(bot.ask(ADA)) == before
        back = bot.post("frontend_users/", ADA).json()
        assert not back["enabled"] and back["user_id"] != str(ada.pk)
        site.put(f"users/{back['user_id']}", enabled=True)
        assert bot.post("frontend_users/", ADA).json()["enabled"]
        site.delete(f"users/{back['user_id']}")
        assert bot.post("frontend_users/", ADA).json()["enabled"], "lifted once and for all"

    def test_it_is_lifted_by_whoever_may(self, site: Wire, bot: Wire, mo: User) -> None:
        prompt = bot.write(ADA, "How do plants drink?", "m1")
        ada = author_of(prompt)
        site.put(f"users/{ada.pk}", enabled=False)
        bans.unban(ada, actor=mo, reason="They promised.")
        assert Ban.objects.get().lifted_by == mo
        assert bot.ask(ADA, "initial_prompt").status_code == 200

    def test_whose_gifts_are_purged_is_not_let_in(self, site: Wire, bot: Wire, mo: User) -> None:
        ada = author_of(bot.write(ADA, "How do plants drink?", "m1"))
        purge(ada, mo)
        refused = site.put(f"users/{ada.pk}", enabled=True, notes="innocent")
        assert refused.status_code == 409, refused.content
        ada.refresh_from_db()
        assert (ada.enabled, ada.notes) == (False, "")

    def test_a_purge_by_a_program_can_be_lifted(self, site: Wire, bot: Wire, mo: User) -> None:
        ada = author_of(bot.write(ADA, "How do plants drink?", "m1"))
        site.post(f"admin/purge_user/{ada.pk}", preview=False)
        assert Ban.objects.get(user=ada).lifted_at is None
        bans.unban(ada, actor=mo, reason="They promised.")
        assert bot.ask(ADA, "initial_prompt").status_code == 200

    def test_what_was_purged_by_a_program_can_still_be_erased(self, site: Wire, bot: Wire) -> None:
        ada = author_of(bot.write(ADA, "How do plants drink?", "m1"))
        site.post(f"admin/purge_user/{ada.pk}", preview=False)
        assert site.delete(f"users/{ada.pk}").status_code == 204
        ada.refresh_from_db()
        assert (ada.display_name, ada.is_active) == ("Deleted User", False)
        assert not Identity.objects.filter(user=ada).exists()


class TestPurges:
    @pytest.fixture
    def purged(self, alice: User, bob: User, mo: User) -> tuple[Message, Purge]:
        """A reply of a purged user, with a reply of somebody else."""
        prompt = growing_tree(alice)
        reply = new_reply(prompt, bob)
        moderator_actions.delete_message(message_id=reply.pk, actor=mo, reason="Rude.", policy=current_policy())
        second = new_reply(prompt, bob)
        return second, purge(bob, mo)

    def test_nothing_comes_back_while_one_stands(self, site: Wire, mo: User, purged: tuple[Message, Purge]) -> None:
        mine = Message.objects.filter(author=purged[0].author_id)
        for message in mine:
            assert site.put(f"messages/{message.pk}/undelete").status_code == 409
            with pytest.raises(Conflict) as refusal:
                deletion = message.deletions.get()
                moderator_actions.undelete(deletion_id=deletion.pk, actor=mo, reason="Try.", policy=current_policy())
            assert refusal.value.code == "purged"
        assert mine.count() == 2 and not mine.filter(deleted=False).exists()

    def test_nothing_empty_comes_back_afterwards(self, site: Wire, purged: tuple[Message, Purge]) -> None:
        message, done = purged
        erase(done)
        assert site.put(f"messages/{message.pk}/undelete").status_code == 409
        message.refresh_from_db()
        assert (message.deleted, message.text) == (True, "")
        assert not Revision.objects.filter(message=message).exclude(text="").exists()

    def test_what_others_wrote_can(self, site: Wire, alice: User, bob: User, mo: User) -> None:
        prompt = growing_tree(alice)
        reply = new_reply(prompt, bob)
        site.delete(f"messages/{reply.pk}")
        purge(new_person("Spam"), mo)
        assert site.put(f"messages/{reply.pk}/undelete").status_code == 202
        reply.refresh_from_db()
        assert reply.deleted is False

    def test_nobody_is_merged_meanwhile(self, site: Wire, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice)
        mine = new_prompt(bob)
        done = purge(bob, mo)
        for one, other in ((alice, bob), (bob, alice)):
            body = {"destination_user_id": str(one.pk), "source_user_ids": [str(other.pk)]}
            assert site.post("admin/merge_users", body).status_code == 409
        done.refresh_from_db()
        assert done.person == bob
        assert Message.objects.get(pk=prompt.pk).author == alice and Message.objects.get(pk=mine.pk).author == bob
        assert User.objects.filter(deleted_at=None, pk__in=[alice.pk, bob.pk]).count() == 2
        erase(done)
        body = {"destination_user_id": str(alice.pk), "source_user_ids": [str(bob.pk)]}
        assert site.post("admin/merge_users", body).status_code == 204
        assert Message.objects.get(pk=prompt.pk).text

    def test_nothing_is_stored_behind_one(self, alice: User, bob: User, mo: User) -> None:
        prompt, hasty = new_prompt(alice), User.objects.get(pk=bob.pk)
        purge(bob, mo)
        with pytest.raises(NotAllowed), transaction.atomic():
            reviews.record_free_labels(message_id=prompt.pk, author=hasty, labels={"spam": 1})
        assert not Review.everything.filter(author=bob).exists()


class TestMerging:
    def test_not_into_a_closed_account(self, site: Wire, alice: User, bob: User) -> None:
        close_account(alice)
        body = {"destination_user_id": str(alice.pk), "source_user_ids": [str(bob.pk)]}
        assert site.post("admin/merge_users", body).status_code == 409
        bob.refresh_from_db()
        assert bob.deleted_at is None and bob.email

    def test_addresses_come_along(self, site: Wire, alice: User, bob: User) -> None:
        addresses = set(EmailAddress.objects.filter(user__in=[alice, bob]).values_list("email", flat=True))
        body = {"destination_user_id": str(alice.pk), "source_user_ids": [str(bob.pk)]}
        assert site.post("admin/merge_users", body).status_code == 204
        assert set(EmailAddress.objects.filter(user=alice).values_list("email", flat=True)) == addresses
        assert EmailAddress.objects.get(user=alice, primary=True).email == alice.email


class TestNames:
    @pytest.mark.parametrize("name", ["local:a\0b", "a\0:b"])
    def test_no_name_holds_nul(self, site: Wire, alice: User, name: str) -> None:
        prompt = new_prompt(alice)
        assert code_of(site.get(f"messages/{prompt.pk}", oasst_user=name)) == (404, 4002)

    def test_a_new_name_is_one_line(self, site: Wire, bot: Wire) -> None:
        user = bot.post("frontend_users/", ADA).json()
        assert site.put(f"users/{user['user_id']}", display_name=" A\u202e\nB ").status_code == 204
        assert site.get(f"users/{user['user_id']}").json()["display_name"] == "A B"
