"""Merging accounts of one person takes two people: one proposes it, another one confirms. Nothing undoes it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.db import connection
from django.db.models import UniqueConstraint
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from inference.models import Chat
from leaderboard.models import Standing
from oasst.accounts import closing, finding, identities, tokens, warnings
from oasst.accounts.models import ApiClient, Ban, Identity, MergeProposal, PurgeProposal, User
from oasst.core.errors import DomainError, NotAllowed
from oasst.core.models import AuditEntry
from oasst.site import merge_preview, merge_proposals, merging, purge_proposals, purging
from oasst.site.forgetting import forget_words_about
from oasst.site.merge_preview import LABELS, preview_merge
from oasst.site.models import Notice
from oasst.site.notices.queries import page_of as notices_of
from tasks.models import Task
from tests.factories import growing_tree, new_person, new_prompt, new_reply, review
from tests.leaderboard.test_tallies import read_all
from trees.contributing import reactions
from trees.models import Message, Ranking, Reaction, Review
from trees.moderation import bans

pytestmark = pytest.mark.django_db
WHY = "Both write from the same bakery, and she told us."


@pytest.fixture
def ada(db: None) -> User:
    return new_person("Ada", "admin")


@pytest.fixture
def eva(db: None) -> User:
    """Eve, with another account."""
    return new_person("Eva")


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def page_of(person: User, *others: User, keep: User | None = None) -> str:
    chosen = [f"with={one.pk}" for one in others] + ([f"keep={keep.pk}"] if keep else [])
    return f"{reverse('admin:accounts_user_merge', args=[person.pk])}?{'&'.join(chosen)}"


def audited() -> list[str]:
    return [name for name in AuditEntry.objects.order_by("pk").values_list("act", flat=True) if "merge" in name]


def proposed(stays: User, closes: User, actor: User) -> MergeProposal:
    return merge_proposals.propose(destination=stays, sources=[closes], actor=actor, reason=WHY)


def confirm(proposal: MergeProposal, actor: User, name: str = "Eve") -> MergeProposal:
    return merge_proposals.confirm(proposal_id=proposal.pk, actor=actor, name=name)


def refused(act: Any) -> str:
    """Return the code of the refusal; nothing of any account has changed by it."""
    before = state()
    with pytest.raises(DomainError) as error:
        act()
    assert state() == before
    return error.value.code


def state() -> list[Any]:
    accounts = User.objects.order_by("pk").values_list("pk", "is_active", "enabled", "display_name", "email")
    return [
        *accounts,
        *MergeProposal.objects.order_by("pk").values_list("pk", "outcome"),
        *Message.objects.order_by("pk").values_list("pk", "author"),
        AuditEntry.objects.count(),
    ]


def refreshed(user: User) -> User:
    return User.objects.get(pk=user.pk)


class TestPages:
    def test_the_whole_way(self, mo: User, ada: User, eve: User, eva: User) -> None:
        prompt = new_prompt(eva, "How do I knead dough?")
        page = signed_in(mo).get(reverse("admin:accounts_user_change", args=[eva.pk])).text
        assert "Merge with another account…" in page
        page = signed_in(mo).get(page_of(eva), {"q": "ev"}).text
        assert page.count(">Choose</a>") == 1 and f"with={eve.pk}" in page
        page = signed_in(mo).get(page_of(eva, eve)).text  # Eva stays, until one says otherwise
        assert "Let this one stay instead" in page and "Messages, also" not in page
        page = signed_in(mo).get(page_of(eva, eve, keep=eve)).text
        assert "Messages, also removed ones" in page and "cannot" in page and "Type the name" not in page
        sent = {"step": "propose", "with": str(eve.pk), "keep": str(eve.pk), "reason": WHY}
        page = signed_in(mo).post(page_of(eva), sent, follow=True).text
        assert "Proposed. It happens when somebody else confirms it within seven days." in page
        assert refreshed(eva).is_active and "proposed a merge of this account" in page
        assert "Look at the proposed merge…" in page and "Merge with another account…" not in page

        assert "proposed merge:" in signed_in(mo).get(reverse("admin:index")).text
        page = signed_in(ada).get(reverse("admin:index")).text
        assert "merge to confirm:" in page and ">Eva<" in page
        for person in (eve, eva):
            page = signed_in(mo).get(page_of(person)).text
            assert "Withdraw the proposal" in page and "Merge them for good" not in page
            page = signed_in(ada).get(page_of(person)).text
            assert WHY in page and "Messages, also removed ones" in page and "As it stands here: Eve" in page

        sent = {"step": "confirm", "proposal": str(MergeProposal.objects.get().pk), "name": "Eva"}
        response = signed_in(ada).post(page_of(eva), sent)
        assert response.status_code == 422 and "type the name as it stands here: Eve" in response.text
        assert 'value="Eva"' in response.text and refreshed(eva).is_active
        page = signed_in(ada).post(page_of(eva), {**sent, "name": " Eve "}, follow=True).text
        assert "Merged. Points follow within a minute." in page
        assert Message.objects.get(pk=prompt.pk).author == eve and not refreshed(eva).is_active
        assert audited() == ["merge.propose", "merge.confirm", "account.merge"]
        merged = AuditEntry.objects.select_related("text").get(act="account.merge")
        assert (merged.actor, merged.program, merged.text.reason) == (ada, None, WHY)
        assert "merge to confirm" not in signed_in(ada).get(reverse("admin:index")).text
        assert (
            "Merge with another account…"
            not in signed_in(ada).get(reverse("admin:accounts_user_change", args=[eva.pk])).text
        )

    def test_the_person_hears_of_it(self, mo: User, ada: User, eve: User, eva: User) -> None:
        confirm(proposed(eve, eva, mo), ada)
        (entry,) = notices_of(eve.pk).entries
        assert "Another account of yours was merged into this one: Eva." in entry.text
        page = signed_in(eve).get(reverse("notices")).text
        assert "merged into this one: Eva." in page and not {">Ada<", ">Mo<"} & {*page.split()}
        assert not Notice.objects.filter(person=eva).exists()

    def test_one_withdraws_it(self, mo: User, ada: User, eve: User, eva: User) -> None:
        proposal = proposed(eve, eva, mo)
        sent = {"step": "withdraw", "proposal": str(proposal.pk)}
        assert signed_in(ada).post(page_of(eve), sent).status_code == 422  # it is not hers
        page = signed_in(mo).post(page_of(eva), sent, follow=True).text
        assert "Your proposal is withdrawn." in page
        response = signed_in(ada).post(page_of(eve), {**sent, "step": "confirm", "name": "Eve"})
        assert "Nobody proposes this any more." in response.text and refreshed(eva).is_active
        assert audited() == ["merge.propose", "merge.withdraw_proposal"]

    def test_the_second_person_refuses_it(self, mo: User, ada: User, eve: User, eva: User) -> None:
        proposal = proposed(eve, eva, mo)
        sent = {"step": "refuse", "proposal": str(proposal.pk), "refuse_reason": "They are <sisters>."}
        assert ">Refuse<" not in signed_in(mo).get(page_of(eve)).text
        assert signed_in(mo).post(page_of(eve), sent).status_code == 422
        for person in (eve, eva):
            assert ">Refuse<" in signed_in(ada).get(page_of(person)).text
        response = signed_in(ada).post(page_of(eve), {**sent, "refuse_reason": ""})
        assert response.status_code == 422 and "Please say why" in response.text
        page = signed_in(ada).post(page_of(eva), sent, follow=True).text
        assert "Refused. Whoever proposed it sees your reason on the start page." in page
        assert refreshed(eva).is_active and audited() == ["merge.propose", "merge.refuse_proposal"]

        for person in (eve, eva):
            page = signed_in(mo).get(reverse("admin:accounts_user_change", args=[person.pk])).text
            refusal = page.partition("Refused proposals")[2]
            assert WHY in refusal and "They are &lt;sisters&gt;." in refusal and ">Ada<" in refusal
            assert "Merge with another account…" in page
        start = signed_in(mo).get(reverse("admin:index")).text.partition("refused merge:")[2]
        assert ">Eva<" in start and ">Ada<" in start and "They are &lt;sisters&gt;." in start
        response = signed_in(ada).post(page_of(eve), {**sent, "step": "confirm", "name": "Eve"})
        assert "Nobody proposes this any more. Ada refused it." in response.text
        assert confirm(proposed(eve, eva, mo), ada)

    def test_alone_on_the_site(self, ada: User, eve: User, eva: User) -> None:
        assert "you decide alone" in signed_in(ada).get(page_of(eve, eva)).text
        sent = {"step": "alone", "with": str(eva.pk), "keep": str(eve.pk), "reason": WHY, "name": ""}
        assert signed_in(ada).post(page_of(eve), sent).status_code == 422
        assert signed_in(ada).post(page_of(eve), {**sent, "step": "propose"}).status_code == 422
        signed_in(ada).post(page_of(eve), {**sent, "name": "Eve"})
        assert not refreshed(eva).is_active and audited() == ["merge.alone", "account.merge"]

    def test_three_become_one(self, mo: User, ada: User, eve: User, eva: User) -> None:
        evi = new_person("Evi")
        page = signed_in(mo).get(page_of(eve, eva), {"with": [str(eva.pk)], "q": "Evi"}).text
        assert f"with={evi.pk}" in page
        sent = {"step": "propose", "with": [str(eva.pk), str(evi.pk)], "reason": WHY}
        signed_in(mo).post(page_of(eve), sent)
        confirm(MergeProposal.objects.get(), ada)
        assert [refreshed(one).is_active for one in (eve, eva, evi)] == [True, False, False]
        assert "Eva, Evi" in notices_of(eve.pk).entries[0].text or "Evi, Eva" in notices_of(eve.pk).entries[0].text

    def test_odd_addresses(self, mo: User, ada: User, eve: User, eva: User) -> None:
        for odd in ("?with=x", f"?with={eve.pk}", f"?with={mo.pk}", "?keep=1&with=&q=+", f"?keep={eva.pk}"):
            assert signed_in(mo).get(reverse("admin:accounts_user_merge", args=[eve.pk]) + odd).status_code == 200
        sent = {"step": "propose", "reason": WHY}
        response = signed_in(mo).post(page_of(eve), sent)
        assert response.status_code == 422 and "Choose the account that stays" in response.text
        for number in ("", "x", "1" * 30, "0"):
            assert signed_in(mo).post(page_of(eve), {"step": "confirm", "proposal": number}).status_code == 422
        assert not MergeProposal.objects.exists()

    def test_strangers_and_auditors(self, mo: User, eve: User, eva: User, alice: User) -> None:
        auditor = new_person("Una")
        User.objects.filter(pk=auditor.pk).update(duties=["auditor"])
        for person in (alice, refreshed(auditor)):
            sent = {"step": "propose", "with": str(eva.pk), "keep": str(eve.pk), "reason": WHY}
            assert signed_in(person).get(page_of(eve)).status_code == 403
            assert signed_in(person).post(page_of(eve), sent).status_code == 403
        assert not MergeProposal.objects.exists()

    def test_a_moderator_of_another_language(self, mo: User, ada: User, eve: User, eva: User) -> None:
        """People are in no language, so every moderator decides about them, as about a suspension."""
        User.objects.filter(pk=mo.pk).update(moderated_languages=["eo"])
        confirm(proposed(eve, eva, ada), refreshed(mo))
        assert not refreshed(eva).is_active


class TestRules:
    def test_nobody_confirms_what_they_proposed(self, mo: User, ada: User, eve: User, eva: User) -> None:
        proposal = proposed(eve, eva, mo)
        assert refused(lambda: confirm(proposal, mo)) == "own_proposal"
        ann = new_person("Ann")
        for actor in (mo, ada):
            assert refused(lambda by=actor: proposed(eve, eva, by)) == "already_proposed"
            assert refused(lambda by=actor: proposed(eva, eve, by)) == "already_proposed"
            assert refused(lambda by=actor: proposed(ann, eva, by)) == "already_proposed"

    def test_who_may_not_refuse(self, mo: User, ada: User, eve: User, eva: User, alice: User) -> None:
        proposal = proposed(eve, eva, ada)

        def refuse(actor: User, reason: str = "No.") -> str:
            return refused(lambda: merge_proposals.refuse(proposal_id=proposal.pk, actor=actor, reason=reason))

        assert refuse(ada) == "own_proposal"
        assert refuse(alice) == refuse(eve) == "moderators_only"
        assert refuse(mo, " ") == "reason"
        User.objects.filter(pk=eva.pk).update(role="moderator")
        assert refuse(mo) == "rank"
        page = signed_in(mo).get(page_of(eve)).text
        assert ">Refuse<" not in page and "of a higher rank" in page

    def test_it_ends_after_seven_days(self, mo: User, ada: User, eve: User, eva: User) -> None:
        proposal = proposed(eve, eva, mo)
        MergeProposal.objects.update(at=timezone.now() - timedelta(days=7, minutes=1))
        assert refused(lambda: confirm(proposal, ada)) == "nothing_proposed"
        assert proposed(eve, eva, ada)

    @pytest.mark.parametrize("change", [{"enabled": False}, {"role": "general"}, {"is_active": False}])
    def test_it_ends_with_the_office_of_the_proposer(
        self, mo: User, ada: User, eve: User, eva: User, change: dict[str, Any]
    ) -> None:
        proposal = proposed(eve, eva, mo)
        User.objects.filter(pk=mo.pk).update(**change)
        assert refused(lambda: confirm(proposal, ada)) == "nothing_proposed"

    def test_who_lost_the_office_does_not_confirm(self, mo: User, ada: User, eve: User, eva: User) -> None:
        proposal = proposed(eve, eva, ada)
        User.objects.filter(pk=mo.pk).update(role="general")  # in another tab they still look like a moderator
        assert refused(lambda: confirm(proposal, mo)) == "moderators_only"

    def test_staff_is_refused(self, mo: User, ada: User, eve: User) -> None:
        max_, una = new_person("Max", "moderator"), new_person("Una")
        User.objects.filter(pk=una.pk).update(duties=["auditor"])
        una = refreshed(una)
        for stays, closes in ((eve, max_), (max_, eve), (eve, una), (una, eve)):
            assert refused(lambda one=stays, other=closes: proposed(one, other, mo)) == "rank"
            assert refused(lambda one=stays, other=closes: proposed(one, other, ada)) == "staff"
        assert refused(lambda: proposed(eve, ada, ada)) == "rank"
        page = signed_in(ada).get(page_of(eve, max_)).text
        assert "Max has a role or duties." in page and "Propose the merge" not in page

    def test_wrong_numbers_of_accounts(self, mo: User, ada: User, eve: User, eva: User) -> None:
        def propose(sources: Sequence[User]) -> Any:
            return merge_proposals.propose(destination=eve, sources=sources, actor=mo, reason=WHY)

        many = [new_person(f"Eva {number}") for number in range(MergeProposal.MOST_SOURCES + 1)]
        for sources in ([], [eve], [eva, eva], many):
            assert refused(lambda chosen=sources: propose(chosen)) == "accounts"
        assert refused(lambda: merge_proposals.propose(destination=eve, sources=[eva], actor=mo, reason=" ")) != ""

    def test_alone_only_where_nobody_else_could(self, mo: User, ada: User, eve: User, eva: User) -> None:
        def alone() -> None:
            merge_proposals.merge_alone(destination=eve, sources=[eva], actor=ada, reason=WHY, name="Eve")

        assert refused(alone) == "second_person_needed"
        bans.ban(mo, actor=ada, reason="Left.")
        assert refused(lambda: proposed(eve, eva, ada)) == "no_second_person"
        alone()
        assert not refreshed(eva).is_active


class TestFactsThatChanged:
    """Whoever confirms decides about the accounts as they are now, not as the proposer saw them."""

    @pytest.fixture
    def proposal(self, mo: User, ada: User, eve: User, eva: User) -> MergeProposal:
        return proposed(eve, eva, mo)

    def said(self, proposal: MergeProposal, actor: User, person: User) -> str:
        """Return what the page says; it offers no merge. The start page does not name what can come to nothing."""
        page = signed_in(actor).get(page_of(person)).text
        assert "Merge them for good" not in page
        return page

    @pytest.mark.parametrize("name", ["Eve", "Eva"])
    def test_suspended(self, proposal: MergeProposal, ada: User, eve: User, name: str) -> None:
        bans.ban(User.objects.get(display_name=name), actor=ada, reason="Spam.")
        assert refused(lambda: confirm(proposal, ada)) == "changed"
        assert f"{name} was suspended after this was proposed" in self.said(proposal, ada, eve)
        merge_proposals.refuse(proposal_id=proposal.pk, actor=ada, reason="Look at the suspension first.")
        assert MergeProposal.objects.get().outcome == "refused"

    def test_suspended_before_is_no_change(self, mo: User, ada: User, eve: User, eva: User) -> None:
        bans.ban(eva, actor=ada, reason="Spam.")
        page = signed_in(mo).get(page_of(eve, eva)).text
        assert "is suspended without end. So is the account that stays." in page
        confirm(proposed(eve, refreshed(eva), mo), ada)
        assert not refreshed(eve).enabled

    @pytest.mark.parametrize("name", ["Eve", "Eva"])
    def test_closed(self, proposal: MergeProposal, ada: User, eve: User, eva: User, name: str) -> None:
        closing.close_account(User.objects.get(display_name=name))
        assert refused(lambda: confirm(proposal, ada)) == "closed"
        assert "One of these accounts was closed" in self.said(proposal, ada, eve)
        assert ">Refuse<" in self.said(proposal, ada, eve)
        assert "merge to confirm" not in signed_in(ada).get(reverse("admin:index")).text

    @pytest.mark.parametrize("name", ["Eve", "Eva"])
    def test_merged_elsewhere(self, proposal: MergeProposal, ada: User, alice: User, eve: User, name: str) -> None:
        other = User.objects.get(display_name=name)
        merging.merge_users(destination_id=alice.pk, source_ids=[other.pk])
        assert refused(lambda: confirm(proposal, ada)) == "closed"
        assert "was merged into Alice" in self.said(proposal, ada, eve)
        assert not merge_proposals.open_proposals([alice.pk]).exists()  # nobody proposed anything about her

    def test_purged(self, proposal: MergeProposal, ada: User, eve: User, eva: User) -> None:
        purging.start_purge(user=eva, actor=ada, reason="Spam.")
        assert refused(lambda: confirm(proposal, ada)) in ("purged", "closed")
        self.said(proposal, ada, eve)

    def test_a_purge_is_proposed(self, proposal: MergeProposal, mo: User, ada: User, eve: User, eva: User) -> None:
        purge_proposals.propose(user=eva, actor=mo, reason="Spam.")
        assert refused(lambda: confirm(proposal, ada)) == "purge_proposed"
        assert "A purge of Eva is proposed." in self.said(proposal, ada, eve)
        purge_proposals.withdraw(user=eva, actor=mo)
        assert confirm(proposal, ada)

    def test_of_the_team_now(self, proposal: MergeProposal, ada: User, eve: User, eva: User) -> None:
        User.objects.filter(pk=eva.pk).update(role="moderator")
        assert refused(lambda: confirm(proposal, ada)) == "staff"

    def test_another_name(self, proposal: MergeProposal, ada: User, eve: User) -> None:
        User.objects.filter(pk=eve.pk).update(display_name="Evelyn")
        assert refused(lambda: confirm(proposal, ada)) == "name"


class TestSuspensions:
    def test_the_longer_one_holds(self, mo: User, ada: User, eve: User, eva: User) -> None:
        soon, late = (timezone.now() + timedelta(days=days) for days in (3, 30))
        bans.ban(eve, actor=ada, reason="Rude.", until=soon)
        bans.ban(eva, actor=ada, reason="Spam.", until=late)
        confirm(proposed(refreshed(eve), refreshed(eva), mo), ada)
        found = refreshed(eve)
        assert (found.enabled, found.ban_reason, found.banned_until) == (False, "Spam.", late)
        ban = Ban.objects.latest("pk")
        assert (ban.actor, ban.user, ban.until) == (ada, eve, late)

    def test_the_longer_one_is_not_shortened(self, mo: User, ada: User, eve: User, eva: User) -> None:
        bans.ban(eve, actor=ada, reason="Rude.")
        bans.ban(eva, actor=ada, reason="Spam.", until=timezone.now() + timedelta(days=3))
        confirm(proposed(refreshed(eve), refreshed(eva), mo), ada)
        assert refreshed(eve).banned_until is None and refreshed(eve).ban_reason == "Rude."


# --- The preview ---


def act_as(person: User, about: Message, times: int = 1) -> None:
    """Do one of everything that a merge moves, about this message and others."""
    now = timezone.now()
    task = {"user": person, "kind": "label_initial_prompt", "lang": "en", "expires_at": now, "finished_at": now}
    # Not by the service: others may have reviewed it often enough.
    said = Review.objects.create(message=about, revision_id=about.revision_id, author=person, labels={"spam": 0})
    Task.objects.create(**task, status="done", result_review=said)
    for _ in range(times):
        mine = new_prompt(person)
        Chat.objects.create(user=person, title="Flour")
        warnings.warn(user=person, actor=User.objects.get(display_name="Ada"), reason=f"Slowly, {mine.pk}.")
        other = new_prompt(new_person("Ann"))
        review(other, person)
        reactions.set_reaction(message_id=other.pk, user=person, emoji="rofl")
        Task.objects.create(**task, status="skipped")
    reactions.set_reaction(message_id=about.pk, user=person, emoji="rofl")
    reactions.report(message_id=about.pk, reporter=person, category="spam")
    bot = ApiClient.objects.create(name="bot")
    Identity.objects.create(user=person, api_client=bot, auth_method="local", username=person.display_name)
    EmailAddress.objects.create(user=person, email=f"{person.pk}@example.org", verified=True)
    SocialAccount.objects.create(user=person, provider="github", uid=str(person.pk))
    tokens.create_token(person, name="laptop", days=None)


def owned(person: User) -> dict[str, int]:
    """Return how many rows of each kind that the preview names belong to this account."""
    found = {merging.name_of(one): merging.rows_of(one, person.pk).count() for one in merging.relations()}
    return {
        name: Task.objects.filter(user=person).count() if name == merge_preview.TASKS else found[name]
        for name in LABELS
    }


def lines(of: Sequence[merge_preview.Line]) -> dict[str, int]:
    return {str(line.label): line.number for line in of}


class TestPreview:
    def test_it_equals_what_happens(self, mo: User, ada: User, eve: User, eva: User, settings: Any) -> None:
        settings.RATE_LIMITS = False
        about = new_prompt(new_person("Ann"))
        evi = new_person("Evi")
        for person in (eve, eva, evi):
            act_as(person, about)
        read_all()
        sources = sorted([eva, evi], key=lambda one: one.pk)
        seen = preview_merge(eve, sources)
        before = owned(eve)
        given = [owned(one) for one in sources]
        merge_proposals.propose(destination=eve, sources=sources, actor=mo, reason=WHY)
        confirm(MergeProposal.objects.get(), ada)
        after = owned(eve)
        moved = {str(LABELS[name]): after[name] - before[name] for name in LABELS if after[name] - before[name]}
        assert lines(seen.moves) == moved and len(moved) >= 9
        gone = {"accounts.AccountWarning.user", "accounts.Appeal.user"}  # those that stay are deleted; none does
        stayed = {
            str(LABELS[name]): number
            for name in LABELS.keys() - gone
            if (number := sum(one[name] for one in given) - (after[name] - before[name]))
        }
        assert lines(seen.stays) == stayed
        assert {"Reviews", "Reactions", "Reports", "Tasks"} <= stayed.keys() and "E-mail addresses" not in stayed
        assert {"Tokens for programs": 2}.items() <= lines(seen.ends).items()
        assert not seen.points_are_exact
        assert EmailAddress.objects.filter(user=eve, primary=True).count() == 1

    def test_points(self, mo: User, ada: User, eve: User, eva: User) -> None:
        for person in (eve, eva):
            new_reply(growing_tree(new_person("Ann")), person)
        read_all()
        seen = preview_merge(eve, [eva])
        confirm(proposed(eve, eva, mo), ada)
        read_all()
        total = Standing.objects.get(person=eve, frame="total", lang="").points
        assert seen.points_are_exact and seen.points_after == total > seen.points[eve.pk] > 0

    def test_a_ranking_of_both_stays_with_its_task(self, mo: User, ada: User, eve: User, eva: User) -> None:
        prompt = growing_tree(new_person("Ann"))
        for number in range(2):
            new_reply(prompt, new_person(f"Writer {number}"))
        for person in (eve, eva):
            ranking = Ranking.objects.create(parent=prompt, author=person, ordered_ids=[], revision_ids=[])
            done = {
                "status": "done",
                "expires_at": timezone.now(),
                "finished_at": timezone.now(),
                "result_ranking": ranking,
            }
            Task.objects.create(user=person, kind="rank_assistant_replies", lang="en", **done)
        seen = preview_merge(eve, [eva])
        assert lines(seen.stays) == {"Rankings": 1, "Tasks": 1} and not seen.points_are_exact
        confirm(proposed(eve, eva, mo), ada)
        assert Ranking.objects.get(author=eva).task.user == eva and Task.objects.filter(user=eve).count() == 1

    def test_ten_times_the_rows_cost_the_same(self, mo: User, ada: User, eve: User, eva: User, settings: Any) -> None:
        settings.RATE_LIMITS = False
        about = new_prompt(new_person("Ann"))
        evi, evo = new_person("Evi"), new_person("Evo")
        act_as(evi, about)
        act_as(evo, about)
        few = self.cost_of_page(mo, evi, evo), self.cost_of_merging(evi, evo)
        act_as(eve, about, times=10)
        act_as(eva, about, times=10)
        texts = [new_prompt(new_person("Ann")) for _ in range(10)]
        for person in (eve, eva):
            for text in texts:
                review(text, person)
        many = self.cost_of_page(mo, eve, eva), self.cost_of_merging(eve, eva)
        assert many == few and few[0] <= 12, (few, many)

    def cost_of_page(self, actor: User, one: User, other: User) -> int:
        client = signed_in(actor)
        cache.clear()
        with CaptureQueriesContext(connection) as captured:
            assert "This would happen now" in client.get(page_of(one, other)).text
        return len(captured)

    def cost_of_merging(self, one: User, other: User) -> int:
        """Of the moving itself; what follows goes by the number of conversations."""
        taken_by = [one.pk]
        with CaptureQueriesContext(connection) as captured:
            for relation in merging.relations():
                merging._move(
                    merging.rows_of(relation, other.pk), merging.staying(relation, other.pk, taken_by), relation, one
                )
        return len(captured)

    def test_it_knows_every_constraint(self) -> None:
        """A constraint that `staying` cannot read would move row by row, and the preview would be wrong."""
        odd = [
            constraint.name
            for relation in merging.relations()
            for constraint in relation.related_model._meta.constraints
            if isinstance(constraint, UniqueConstraint)
            and constraint.expressions
            and relation.field.name in str(constraint.expressions)
        ]
        assert odd == []

    def test_every_relation_is_named_or_left_out_on_purpose(self) -> None:
        unnamed = {merging.name_of(one) for one in merging.relations()} - LABELS.keys()
        of_staff = {name for name in unnamed if name.rpartition(".")[2] not in ("user", "author", "person", "subject")}
        assert unnamed - of_staff == {
            *("trees.Revision.author", "trees.Happening.subject", "inference.Turn.user", "inference.DraftChoice.user"),
            *("trees.ReviewerRecord.person", "trees.ReviewerSkill.person", "trees.Purge.person"),
            *("accounts.SuspendedIdentity.user", "accounts.ApiClient.person", "admin.LogEntry.user"),
            *("accounts.BanProposal.user", "accounts.PurgeProposal.user"),
        }
        assert LABELS.keys() - {merge_preview.TASKS} <= {merging.name_of(one) for one in merging.relations()}


class TestForgetting:
    @pytest.mark.parametrize("name", ["Eve", "Eva"])
    def test_the_reasons_go_with_the_person(self, mo: User, ada: User, eve: User, eva: User, name: str) -> None:
        proposed(eve, eva, mo)
        purge_proposals.propose(user=eve, actor=mo, reason="Advertising.")
        alice = new_person("Alice")
        proposed(alice, new_person("Alicia"), mo)
        for model in (MergeProposal, PurgeProposal):
            model._default_manager.update(refuse_reason="No.")
        forget_words_about(User.objects.get(display_name=name).pk)
        assert [*MergeProposal.objects.order_by("pk").values_list("reason", flat=True)] == ["", WHY]
        purge = PurgeProposal.objects.get()
        assert (purge.reason, purge.refuse_reason) == (("", "") if name == "Eve" else ("Advertising.", "No."))
        assert [*MergeProposal.objects.order_by("pk").values_list("refuse_reason", flat=True)] == ["", "No."]


class TestAddresses:
    def test_an_address_that_only_the_closed_account_had_verified(self, eve: User, eva: User) -> None:
        for person, verified in ((eve, False), (eva, True)):
            EmailAddress.objects.create(user=person, email="both@example.org", verified=verified)
        merging.merge_users(destination_id=eve.pk, source_ids=[eva.pk])
        address = EmailAddress.objects.get(email="both@example.org")
        assert address.user == eve and address.verified
        assert EmailAddress.objects.filter(user=eve, primary=True).count() == 1


class TestRowsThatArriveMeanwhile:
    def test_one_that_became_the_same_stays(self, eve: User, eva: User) -> None:
        """Somebody reacts with both accounts at once: the row that cannot move stays, the others move."""
        first, second = new_prompt(new_person("Ann")), new_prompt(new_person("Ann"))
        for message in (first, second):
            reactions.set_reaction(message_id=message.pk, user=eva, emoji="rofl")
        relation = next(one for one in merging.relations() if merging.name_of(one) == "trees.Reaction.author")
        stays = merging.staying(relation, eva.pk, [])  # as it was before the other reaction came
        reactions.set_reaction(message_id=first.pk, user=eve, emoji="rofl")
        merging._move(merging.rows_of(relation, eva.pk), stays, relation, eve)
        assert Reaction.objects.get(author=eva).message_id == first.pk
        assert Reaction.objects.filter(author=eve).count() == 2


# --- Who may be the same ---


class TestSuggestions:
    def alike(self, user: User) -> dict[str, list[str]]:
        return {one.display_name: [str(reason) for reason in reasons] for one, reasons in finding.find_alike(user)}

    def test_by_address_login_service_and_name(self, mo: User, eve: User) -> None:
        bot, web = ApiClient.objects.create(name="bot"), ApiClient.objects.create(name="web", trusted=True)
        Identity.objects.create(user=eve, api_client=bot, auth_method="discord", username="4711")
        EmailAddress.objects.create(user=eve, email="eve@bakery.example", verified=True)
        by_address, by_login, by_service, by_name = (new_person(name) for name in ("A", "B", "C", "D"))
        EmailAddress.objects.create(user=by_address, email="eve@bakery.example")
        Identity.objects.create(user=by_login, api_client=web, auth_method="local", username="4711")
        SocialAccount.objects.create(user=by_service, provider="discord", uid="4711")
        User.objects.filter(pk=by_name.pk).update(name_skeleton=refreshed(eve).name_skeleton, owns_name=False)
        found = self.alike(eve)
        assert found == {
            "A": ["the same e-mail address, which at most one of them has proved"],
            "C": ["the same account at another service"],
            "B": ["the same login at another program"],
            "D": ["a name that looks the same"],
        }
        assert next(iter(found)) == "A"
        page = signed_in(mo).get(page_of(eve)).text
        assert "May be the same person" in page and page.count(">Choose</a>") == 4
        assert "eve@bakery.example" not in page or by_address.email is None

    def test_not_of_the_team_and_not_closed_and_not_by_own_tokens(self, eve: User, eva: User) -> None:
        EmailAddress.objects.create(user=eve, email="eve@bakery.example", verified=True)
        for other in (new_person("Max", "moderator"), new_person("Gone")):
            EmailAddress.objects.create(user=other, email="eve@bakery.example")
        closing.close_account(User.objects.get(display_name="Gone"))
        for person in (eve, eva):
            tokens.create_token(person, name="laptop", days=None)
            own = ApiClient.objects.get(person=person)
            method, name = identities.SELF
            Identity.objects.get_or_create(user=person, api_client=own, auth_method=method, username=name)
        assert self.alike(eve) == {}

    def test_many_of_one_name(self, eve: User) -> None:
        skeleton = refreshed(eve).name_skeleton
        others = [new_person(f"Eve {number}") for number in range(60)]
        User.objects.filter(pk__in=[one.pk for one in others]).update(name_skeleton=skeleton, owns_name=False)
        with CaptureQueriesContext(connection) as captured:
            assert len(finding.find_alike(eve)) == 10
        assert len(captured) == 2


def test_the_service_asks_the_rank_itself(eve: User, eva: User, alice: User) -> None:
    with pytest.raises(NotAllowed):
        proposed(eve, eva, alice)
    assert not MergeProposal.objects.exists()
