"""A site always keeps one administrator, and two others may ban one."""

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from oasst.accounts import closing
from oasst.accounts.authentication import program_sessions
from oasst.accounts.models import BanProposal, Role, User
from oasst.core.errors import Conflict, DomainError, NotAllowed
from oasst.core.models import AuditEntry
from tests.factories import new_person
from trees.moderation import bans

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(db: None) -> User:
    return new_person("Ada", role="admin")


@pytest.fixture
def grace(db: None) -> User:
    return new_person("Grace", role="admin")


@pytest.fixture
def linus(db: None) -> User:
    return new_person("Linus", role="admin")


def acts_of(page: str) -> str:
    """The form with the actions on the page of a user."""
    return page.partition('class="desk-acts"')[2].partition("</form>")[0]


def refusal(act: Any) -> str:
    with pytest.raises(DomainError) as caught:
        act()
    return caught.value.code


class TestTheLastOne:
    def test_stays(self, ada: User) -> None:
        assert refusal(lambda: closing.close_account(ada)) == "last_administrator"
        assert refusal(lambda: bans.ban_by_operator(ada, reason="x")) == "last_administrator"
        ada.refresh_from_db()
        assert ada.is_active and ada.enabled and ada.role == Role.ADMIN and ada.email

    def test_one_who_is_suspended_or_closed_does_not_count(self, ada: User, grace: User, linus: User) -> None:
        bans.ban_by_operator(grace, reason="Gone rogue.")
        closing.close_account(linus)
        assert refusal(lambda: closing.close_account(ada)) == "last_administrator"

    def test_with_another_one_they_may_go(self, ada: User, grace: User) -> None:
        closing.close_account(ada)
        ada.refresh_from_db()
        assert not ada.is_active
        assert refusal(lambda: closing.close_account(grace)) == "last_administrator"

    def test_one_who_is_suspended_may_go(self, ada: User, grace: User) -> None:
        bans.ban_by_operator(grace, reason="Gone rogue.")
        closing.close_account(grace)
        grace.refresh_from_db()
        assert not grace.is_active

    def test_the_page_says_what_to_do(self, client: Client, ada: User) -> None:
        client.force_login(ada)
        page = client.get("/me/delete/").text
        assert "You are the last administrator" in page and "ADMIN_EMAILS" in page
        assert "Erase my account now" not in page
        response = client.post("/me/delete/", {"confirmation": ada.email})
        assert response.status_code == 200 and "last administrator" in response.text
        ada.refresh_from_db()
        assert ada.is_active

    def test_the_chat_programs_are_told_too_and_chats_stay(self, client: Client, ada: User) -> None:
        from inference.models import Chat

        Chat.objects.create(user=ada)
        pair = program_sessions.sign_in(ada, provider="debug")
        response = client.delete("/inference/account/", headers={"Authorization": f"Bearer {pair.access}"})
        assert (response.status_code, response.json()["code"]) == (409, "last_administrator")
        assert Chat.objects.filter(user=ada, deleted_at=None).exists()


class TestTwoOthers:
    def test_one_proposes_and_another_confirms(self, ada: User, grace: User, linus: User) -> None:
        assert bans.ban(linus, actor=ada, reason="Sells accounts.") is False
        linus.refresh_from_db()
        assert linus.enabled, "one voice is not enough"
        assert bans.ban(linus, actor=grace, reason="I saw it too.") is True
        linus.refresh_from_db()
        assert (linus.enabled, linus.ban_reason) == (False, "Sells accounts.")
        assert BanProposal.objects.get().outcome == BanProposal.Outcome.CONFIRMED

    def test_two_lift_it(self, ada: User, grace: User, linus: User) -> None:
        bans.ban_by_operator(linus, reason="x")
        assert refusal(lambda: bans.unban(linus, actor=linus, reason="Me!")) in ("rank", "moderators_only")
        assert bans.unban(linus, actor=ada, reason="A mistake.") is False
        assert bans.unban(linus, actor=grace, reason="Yes.") is True
        linus.refresh_from_db()
        assert linus.enabled

    def test_one_person_has_one_voice(self, ada: User, grace: User, linus: User) -> None:
        bans.ban(linus, actor=ada, reason="x")
        assert refusal(lambda: bans.ban(linus, actor=ada, reason="x")) == "already_proposed"
        linus.refresh_from_db()
        assert linus.enabled

    def test_nobody_decides_about_themselves(self, ada: User, grace: User, linus: User) -> None:
        bans.ban(linus, actor=ada, reason="x")
        with pytest.raises(NotAllowed):
            bans.ban(linus, actor=linus, reason="x")

    def test_moderators_have_no_voice(self, ada: User, grace: User, mo: User) -> None:
        bans.ban(grace, actor=ada, reason="x")
        assert refusal(lambda: bans.ban(grace, actor=mo, reason="x")) == "rank"

    def test_who_was_banned_has_no_voice(self, ada: User, grace: User, linus: User) -> None:
        bans.ban(linus, actor=ada, reason="x")
        bans.ban_by_operator(ada, reason="y")
        assert bans.ban(linus, actor=grace, reason="x") is False, "what the banned one proposed is void"
        ada.enabled = True  # as a concurrent request still has it
        with pytest.raises(NotAllowed):
            bans.ban(linus, actor=ada, reason="x")

    def test_a_proposal_ends(self, ada: User, grace: User, linus: User) -> None:
        bans.ban(linus, actor=ada, reason="x")
        BanProposal.objects.update(at=timezone.now() - timedelta(days=8))
        assert bans.ban(linus, actor=grace, reason="y") is False

    def test_a_proposal_is_withdrawn(self, ada: User, grace: User, linus: User) -> None:
        bans.ban(linus, actor=ada, reason="x")
        with pytest.raises(Conflict):
            bans.withdraw_proposal(linus, actor=grace)
        bans.withdraw_proposal(linus, actor=ada)
        assert bans.ban(linus, actor=grace, reason="y") is False

    def test_another_one_refuses(self, ada: User, grace: User, linus: User, mo: User, alice: User) -> None:
        bans.ban(linus, actor=ada, reason="Sells accounts.")

        def refuse(actor: User, reason: str = "He gives them away.") -> None:
            bans.refuse_proposal(linus, actor=actor, reason=reason)

        assert [refusal(lambda who=who: refuse(who)) for who in (linus, mo, alice)] == ["rank"] * 3
        assert refusal(lambda: refuse(ada)) == "own_proposal"
        assert refusal(lambda: refuse(grace, " ")) == "reason"
        assert BanProposal.objects.get().outcome == BanProposal.Outcome.OPEN
        assert [*AuditEntry.objects.values_list("act", flat=True)] == ["account.propose_ban"]
        refuse(grace)
        entry = AuditEntry.objects.select_related("text").latest("pk")
        assert (entry.act, entry.actor, entry.person) == ("account.refuse_proposal", grace, linus)
        assert entry.text.reason == "He gives them away."
        assert refusal(lambda: bans.withdraw_proposal(linus, actor=ada)) == "nothing_proposed"
        assert refusal(lambda: refuse(grace)) == "nothing_proposed"
        assert bans.ban(linus, actor=ada, reason="Again.") is False and User.objects.get(pk=linus.pk).enabled
        assert bans.ban(linus, actor=grace, reason="Now I see it.") is True

    def test_two_cannot_ban_each_other(self, ada: User, grace: User) -> None:
        assert bans.ban(ada, actor=grace, reason="x") is False
        assert bans.ban(grace, actor=ada, reason="x") is False
        assert User.objects.filter(role=Role.ADMIN, enabled=True).count() == 2

    def test_on_the_pages(self, ada: User, grace: User, linus: User) -> None:
        url = reverse("admin:accounts_user_changelist")
        page_of_linus = reverse("admin:accounts_user_change", args=[linus.pk])

        def act(who: User, action: str) -> str:
            browser = Client()
            browser.force_login(who)
            data = {"action": action, "_selected_action": str(linus.pk), "reason": "Sells accounts."}
            return str(browser.post(url, data, follow=True).text)

        assert "another administrator does the same" in act(ada, "ban")
        browser = Client()
        browser.force_login(grace)
        page = browser.get(page_of_linus).text
        assert "A suspension is proposed" in page and "Ada" in page
        assert ">Linus</bdi>" in browser.get(reverse("admin:index")).text.partition("suspension to confirm: ")[2]
        assert ">Confirm the suspension<" in page and "Withdraw the proposal" not in acts_of(page)
        assert ">Refuse<" in acts_of(page)
        browser.force_login(ada)
        page = acts_of(browser.get(page_of_linus).text)
        assert "Withdraw the proposal" in page and "he suspension<" not in page and ">Refuse<" not in page
        start = browser.get(reverse("admin:index")).text
        assert "you proposed it" in start and "to confirm" not in start
        browser.force_login(linus)
        assert acts_of(browser.get(page_of_linus).text) == ""
        assert "proposed suspension of yourself" in browser.get(reverse("admin:index")).text
        assert "your proposal is withdrawn" in act(ada, "withdraw")
        browser.force_login(ada)
        assert ">Propose a suspension<" in acts_of(browser.get(page_of_linus).text)
        act(ada, "ban")
        assert "the proposal is refused" in act(grace, "refuse")
        page = browser.get(page_of_linus).text
        assert ">Grace<" in page.partition("Refused proposals")[2] and "A suspension is proposed" not in page
        act(ada, "ban")
        assert "suspended." in act(grace, "ban")
        linus.refresh_from_db()
        assert not linus.enabled


class TestCards:
    """The start page of the administrators shows what is proposed, and settles it."""

    def start(self, who: User) -> tuple[Client, str]:
        browser = Client()
        browser.force_login(who)
        return browser, browser.get("/admin/").text

    def press(self, who: User, proposal: BanProposal, **sent: str) -> str:
        browser, _ = self.start(who)
        return str(browser.post(reverse("admin:ban_proposal", args=[proposal.pk]), sent, follow=True).text)

    def test_another_administrator_confirms_it_in_place(self, ada: User, grace: User, linus: User) -> None:
        bans.ban(linus, actor=ada, reason="Sells <accounts>.")
        proposal, page = BanProposal.objects.get(), self.start(grace)[1]
        assert "Sells &lt;accounts&gt;." in page and "Confirm the suspension" in page and "Ada" in page
        for who in (ada, linus):
            assert "Confirm the suspension" not in self.start(who)[1]
        assert "Linus is suspended." in self.press(grace, proposal)
        linus.refresh_from_db()
        assert (linus.enabled, linus.ban_reason) == (False, "Sells <accounts>.")
        assert "Nobody proposes this any more." in self.press(grace, proposal)
        bans.unban(linus, actor=ada, reason="A mistake.")
        assert "Confirm the end of the suspension" in self.start(grace)[1]
        assert "The suspension of Linus is over." in self.press(grace, BanProposal.objects.latest("pk"))

    def test_whoever_proposed_it_withdraws_it(self, ada: User, grace: User, linus: User) -> None:
        bans.ban(linus, actor=ada, reason="x")
        proposal = BanProposal.objects.get()
        assert "You have proposed nothing here." in self.press(grace, proposal, withdraw="1")
        assert "Withdraw the proposal" in self.start(ada)[1]
        assert "Your proposal is withdrawn." in self.press(ada, proposal, withdraw="1")
        assert "Nobody proposes this any more." in self.press(grace, proposal)
        assert User.objects.get(pk=linus.pk).enabled and not BanProposal.objects.filter(outcome="open").exists()

    def test_another_administrator_refuses_it(self, ada: User, grace: User, linus: User) -> None:
        bans.ban(linus, actor=ada, reason="Sells accounts.")
        proposal, sent = BanProposal.objects.get(), {"refuse": "1", "reason": "He <gives> them away."}
        assert ">Refuse<" in self.start(grace)[1]
        for who in (ada, linus):
            assert ">Refuse<" not in self.start(who)[1]
        assert "you can withdraw it." in self.press(ada, proposal, **sent)
        assert "Only another administrator" in self.press(linus, proposal, **sent)
        assert "Please say why" in self.press(grace, proposal, refuse="1", reason="")
        assert BanProposal.objects.get().outcome == "open"
        page = self.press(grace, proposal, **sent)
        assert "Refused. Whoever proposed it" in page and "Sells accounts." not in page
        card = self.start(ada)[1].partition("refused suspension:")[2]
        assert ">Grace<" in card and "He &lt;gives&gt; them away." in card
        assert "Nobody proposes this any more. Grace refused it." in self.press(grace, proposal)
        assert "Grace refused it." in self.press(ada, proposal, withdraw="1")
        bans.ban(linus, actor=ada, reason="Again.")
        assert "refused suspension:" not in self.start(ada)[1]
        assert User.objects.get(pk=linus.pk).enabled

    def test_who_may_not(self, ada: User, grace: User, linus: User, mo: User) -> None:
        bans.ban(linus, actor=ada, reason="x")
        proposal = BanProposal.objects.get()
        assert "You proposed this already." in self.press(ada, proposal)
        assert "Only another administrator" in self.press(linus, proposal)
        browser, page = self.start(mo)
        assert "x</span>" not in page and "suspension to confirm" not in page
        assert browser.post(reverse("admin:ban_proposal", args=[proposal.pk])).status_code == 403
        assert User.objects.get(pk=linus.pk).enabled

    def test_it_takes_a_recent_proof_of_identity(self, ada: User, grace: User, linus: User) -> None:
        bans.ban(linus, actor=ada, reason="x")
        browser, _ = self.start(grace)
        session = browser.session
        session["signed_in_at"] = timezone.now().timestamp() - 3600
        session.save()
        response = browser.post(reverse("admin:ban_proposal", args=[BanProposal.objects.get().pk]))
        assert response.status_code == 302 and "next=%2Fadmin%2F" in response["Location"]
        assert User.objects.get(pk=linus.pk).enabled

    def test_a_proposal_about_somebody_who_is_no_administrator_any_more_is_gone(
        self, ada: User, grace: User, linus: User
    ) -> None:
        bans.ban(linus, actor=ada, reason="x")
        User.objects.filter(pk=linus.pk).update(role="general")
        assert "suspension to confirm" not in self.start(grace)[1]


class TestCommands:
    def run(self, *args: str) -> str:
        out = io.StringIO()
        call_command(*args, stdout=out)
        return out.getvalue()

    def test_the_operator_needs_nobody(self, ada: User, grace: User) -> None:
        assert "is suspended" in self.run("ban_user", str(grace.email), "--reason", "Gone rogue.")
        grace.refresh_from_db()
        assert (grace.enabled, grace.ban_reason) == (False, "Gone rogue.")
        assert "may take part again" in self.run("unban_user", str(grace.pk), "--reason", "Back.")
        grace.refresh_from_db()
        assert grace.enabled

    def test_never_the_last(self, ada: User) -> None:
        with pytest.raises(CommandError, match="last administrator"):
            self.run("ban_user", str(ada.email), "--reason", "x")

    @pytest.mark.parametrize("command", ["ban_user", "unban_user"])
    def test_nobody_of_that_name(self, command: str) -> None:
        with pytest.raises(CommandError, match="nobody"):
            self.run(command, "nobody@example.org", "--reason", "x")
