"""A purge takes two people: one proposes it, another one confirms."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from oasst.accounts import second_person
from oasst.accounts.models import PurgeProposal, User
from oasst.core.errors import Conflict, DomainError, Invalid, NotAllowed
from oasst.core.models import AuditEntry
from oasst.site import purge_proposals, purging
from tests.factories import new_person, new_prompt
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, Purge
from trees.moderation import bans

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(db: None) -> User:
    return new_person("Ada", "admin")


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def page_of(person: User) -> str:
    return reverse("admin:accounts_user_purge", args=[person.pk])


def audited() -> list[str]:
    return [name for name in AuditEntry.objects.order_by("pk").values_list("act", flat=True) if "purge." in name]


def proposed(user: User, actor: User) -> PurgeProposal:
    return purge_proposals.propose(user=user, actor=actor, reason="Advertising.")


def refused(act: Any) -> str:
    with pytest.raises(DomainError) as error:
        act()
    return error.value.code


class TestPages:
    def test_the_whole_way(self, mo: User, ada: User, eve: User) -> None:
        prompt = new_prompt(eve, "Buy my flour!")
        page = signed_in(mo).post(page_of(eve), {"step": "preview"}).text
        assert "A purge takes two people" in page and "Propose the purge" in page and "Type the name" not in page
        page = signed_in(mo).post(page_of(eve), {"step": "propose", "reason": "Advertising."}, follow=True).text
        assert "Proposed. It happens when somebody else confirms it within seven days." in page
        assert not Purge.objects.exists() and User.objects.get(pk=eve.pk).enabled

        assert "proposed purge:" in signed_in(mo).get(reverse("admin:index")).text
        assert "purge to confirm:" in signed_in(ada).get(reverse("admin:index")).text
        page = signed_in(mo).post(page_of(eve), {"step": "preview"}).text
        assert "Withdraw the proposal" in page and "Purge all of it" not in page
        page = signed_in(ada).post(page_of(eve), {"step": "preview"}).text
        assert "Messages of theirs that go" in page and "Advertising." in page and "Type the name" in page

        response = signed_in(ada).post(page_of(eve), {"step": "confirm", "name": "Eva"})
        assert response.status_code == 422 and "type the name as it stands here: Eve" in response.text
        assert 'value="Eva"' in response.text and not Purge.objects.exists()
        page = signed_in(ada).post(page_of(eve), {"step": "confirm", "name": " Eve "}, follow=True).text
        assert "The purge is under way." in page
        purging.continue_purge(purge_id=Purge.objects.get().pk, policy=TreePolicy())
        assert Message.objects.get(pk=prompt.pk).deleted
        purge = Purge.objects.get()
        assert (purge.actor, purge.reason) == (ada, "Advertising.")
        page = signed_in(mo).get(reverse("admin:trees_purge_change", args=[purge.pk])).text
        assert "Proposed by" in page and "nobody: done by one person" not in page
        assert "purge to confirm" not in signed_in(ada).get(reverse("admin:index")).text

    def test_one_withdraws_it(self, mo: User, ada: User, eve: User) -> None:
        proposed(eve, mo)
        page = signed_in(mo).post(page_of(eve), {"step": "withdraw"}, follow=True).text
        assert "Your proposal is withdrawn." in page
        response = signed_in(ada).post(page_of(eve), {"step": "confirm", "name": "Eve"})
        assert "Nobody proposes this any more." in response.text and not Purge.objects.exists()

    def test_the_second_person_refuses_it(self, mo: User, ada: User, eve: User) -> None:
        new_prompt(eve, "Buy my flour!")
        proposal = proposed(eve, mo)
        sent = {"step": "refuse", "proposal": str(proposal.pk), "refuse_reason": "She sells <nothing>."}
        assert ">Refuse<" not in signed_in(mo).post(page_of(eve), {"step": "preview"}).text
        response = signed_in(mo).post(page_of(eve), sent)
        assert response.status_code == 422 and "you can withdraw it." in response.text
        assert ">Refuse<" in signed_in(ada).get(page_of(eve)).text
        response = signed_in(ada).post(page_of(eve), {**sent, "refuse_reason": " "})
        assert response.status_code == 422 and "Please say why" in response.text and audited() == ["purge.propose"]
        page = signed_in(ada).post(page_of(eve), sent, follow=True).text
        assert "Refused. Whoever proposed it sees your reason on the start page." in page

        page = page.partition("Refused proposals")[2]
        assert "Advertising." in page and "She sells &lt;nothing&gt;." in page and ">Ada<" in page
        start = signed_in(mo).get(reverse("admin:index")).text.partition("refused purge:")[2]
        assert ">Ada<" in start and "She sells &lt;nothing&gt;." in start
        page = signed_in(ada).get(reverse("admin:index")).text
        assert "purge to confirm:" not in page and "refused purge:" not in page
        entry = AuditEntry.objects.select_related("text").latest("pk")
        assert (entry.act, entry.actor, entry.text.reason) == ("purge.refuse_proposal", ada, "She sells <nothing>.")
        response = signed_in(ada).post(page_of(eve), {"step": "confirm", "name": "Eve"})
        assert "Nobody proposes this any more. Ada refused it." in response.text and not Purge.objects.exists()

        signed_in(mo).post(page_of(eve), {"step": "propose", "reason": "She does."})
        assert "refused purge:" not in signed_in(mo).get(reverse("admin:index")).text
        assert signed_in(ada).post(page_of(eve), sent).status_code == 422, "that was about the first one"
        assert purge_proposals.confirm(user=eve, actor=ada, name="Eve")

    def test_alone_on_the_site(self, ada: User, eve: User) -> None:
        page = signed_in(ada).post(page_of(eve), {"step": "preview"}).text
        assert "Nobody else on this site could confirm the purge" in page
        assert signed_in(ada).post(page_of(eve), {"step": "alone", "reason": "Spam.", "name": ""}).status_code == 422
        signed_in(ada).post(page_of(eve), {"step": "alone", "reason": "Spam.", "name": "Eve"})
        assert "purge.alone" in audited()
        page = signed_in(ada).get(reverse("admin:trees_purge_change", args=[Purge.objects.get().pk])).text
        assert "nobody: done by one person" in page


class TestRules:
    def test_nobody_confirms_what_they_proposed(self, mo: User, ada: User, eve: User) -> None:
        proposed(eve, mo)
        assert refused(lambda: purge_proposals.confirm(user=eve, actor=mo, name="Eve")) == "own_proposal"
        assert refused(lambda: proposed(eve, mo)) == refused(lambda: proposed(eve, ada)) == "already_proposed"

    def test_who_may_not_refuse(self, mo: User, ada: User, eve: User, alice: User) -> None:
        proposal = proposed(eve, ada)

        def refuse(actor: User, number: int = proposal.pk) -> str:
            return refused(lambda: purge_proposals.refuse(proposal_id=number, actor=actor, reason="No."))

        assert refuse(ada) == "own_proposal"
        assert refuse(alice) == refuse(eve) == "moderators_only"
        sent = {"step": "refuse", "proposal": str(proposal.pk), "refuse_reason": "No."}
        assert signed_in(alice).post(page_of(eve), sent).status_code == 403
        for number in ("", "x", "1" * 30, "0"):
            assert signed_in(mo).post(page_of(eve), {**sent, "proposal": number}).status_code == 422
        User.objects.filter(pk=mo.pk).update(role="general")  # in another tab they still look like a moderator
        assert refuse(mo) == "moderators_only"
        assert PurgeProposal.objects.get().outcome == "open" and audited() == ["purge.propose"]

    def test_refused_once(self, mo: User, ada: User, eve: User) -> None:
        proposal = proposed(eve, mo)
        purge_proposals.refuse(proposal_id=proposal.pk, actor=ada, reason="No.")
        for late in (
            lambda: purge_proposals.refuse(proposal_id=proposal.pk, actor=ada, reason="No, no."),
            lambda: purge_proposals.withdraw(user=eve, actor=mo),
        ):
            with pytest.raises(Conflict, match=r"Nobody proposes this any more\. Ada refused it\."):
                late()
        assert PurgeProposal.objects.get().refuse_reason == "No."
        PurgeProposal.objects.update(decided_at=timezone.now() - timedelta(days=7, minutes=1))
        assert "refused purge:" not in signed_in(mo).get(reverse("admin:index")).text

    def test_it_ends_after_seven_days(self, mo: User, ada: User, eve: User) -> None:
        proposed(eve, mo)
        PurgeProposal.objects.update(at=timezone.now() - timedelta(days=7, minutes=1))
        assert refused(lambda: purge_proposals.confirm(user=eve, actor=ada, name="Eve")) == "nothing_proposed"
        assert proposed(eve, ada)

    @pytest.mark.parametrize("change", [{"enabled": False}, {"role": "general"}, {"is_active": False}])
    def test_it_ends_with_the_office_of_the_proposer(
        self, mo: User, ada: User, eve: User, change: dict[str, Any]
    ) -> None:
        proposed(eve, mo)
        User.objects.filter(pk=mo.pk).update(**change)
        assert refused(lambda: purge_proposals.confirm(user=eve, actor=ada, name="Eve")) == "nothing_proposed"

    def test_who_lost_the_office_does_not_confirm(self, mo: User, ada: User, eve: User) -> None:
        proposed(eve, ada)
        User.objects.filter(pk=mo.pk).update(role="general")  # in another tab they still look like a moderator
        with pytest.raises(NotAllowed):
            purge_proposals.confirm(user=eve, actor=mo, name="Eve")
        assert not Purge.objects.exists()

    def test_moderators_are_no_second_person_about_a_moderator(self, mo: User, ada: User) -> None:
        other = new_person("Max", "moderator")
        assert second_person.is_alone(other, ada)
        assert refused(lambda: proposed(other, ada)) == "no_second_person"
        new_person("Ida", "admin")
        assert not second_person.is_alone(other, ada) and proposed(other, ada)

    def test_a_suspended_moderator_is_no_second_person(self, mo: User, ada: User, eve: User) -> None:
        assert not second_person.is_alone(eve, ada)
        bans.ban(mo, actor=ada, reason="Left.")
        assert second_person.is_alone(eve, ada)

    def test_what_is_purged_is_not_proposed(self, mo: User, ada: User, eve: User) -> None:
        purging.start_purge(user=eve, actor=mo, reason="Spam.")
        assert refused(lambda: proposed(eve, mo)) == "already_purged"

    def test_a_person_without_a_name(self, mo: User, ada: User, eve: User) -> None:
        User.objects.filter(pk=eve.pk).update(display_name="")
        eve.refresh_from_db()
        proposed(eve, mo)
        with pytest.raises(Invalid):
            purge_proposals.confirm(user=eve, actor=ada, name="")
        assert purge_proposals.confirm(user=eve, actor=ada, name=str(eve.pk))

    def test_the_audit_log_has_each_step(self, mo: User, ada: User, eve: User) -> None:
        proposed(eve, mo)
        purge_proposals.withdraw(user=eve, actor=mo)
        with pytest.raises(Conflict):
            purge_proposals.withdraw(user=eve, actor=mo)
        assert audited()[:2] == ["purge.propose", "purge.withdraw_proposal"]
