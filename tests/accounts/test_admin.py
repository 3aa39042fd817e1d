"""Users and API clients in the admin: who sees whom, who bans whom, and that no secret is shown."""

from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from oasst.accounts import account_bans, api_clients, tokens
from oasst.accounts.models import ApiKey, Ban, Token, User
from oasst.core.errors import Busy
from oasst.core.models import AuditEntry
from oasst.site import purge_proposals, purging
from tasks.supply import read_supply
from tests.factories import decide, growing_tree, new_people, new_person, new_prompt, new_reply, state_of
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, Purge
from trees.moderation import banned_authors, moderator_actions

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
PEOPLE = "admin:accounts_user_changelist"
TOO_LONG = "x" * 501
ONLY_FOR_ADMINISTRATORS = ("accounts_apiclient", "accounts_apikey", "core_waitingjob")


@pytest.fixture
def ada(db: None) -> User:
    return new_person("Ada", role="admin")


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def act(client: Client, action: str, *people: User, reason: str = "Spam.") -> str:
    data = {"action": action, "reason": reason, "_selected_action": [str(person.pk) for person in people]}
    response = client.post(reverse(PEOPLE), data, follow=True)
    assert response.status_code == 200
    return response.text


def page_of(person: User) -> str:
    return reverse("admin:accounts_user_change", args=[person.pk])


def enabled(person: User) -> bool:
    return User.objects.get(pk=person.pk).enabled


class TestWhoSeesWhat:
    def test_moderators_see_people(self, mo: User, eve: User) -> None:
        client = signed_in(mo)
        page = client.get(reverse(PEOPLE)).text
        assert "Eve" in page and str(eve.email) in page
        assert "Eve" in client.get(page_of(eve)).text

    @pytest.mark.parametrize("name", ONLY_FOR_ADMINISTRATORS)
    def test_programs_and_the_clock_are_for_administrators(self, mo: User, ada: User, name: str) -> None:
        url = reverse(f"admin:{name}_changelist")
        assert signed_in(mo).get(url).status_code == 403
        assert url not in signed_in(mo).get(reverse("admin:index")).text
        assert signed_in(ada).get(url).status_code == 200
        assert url in signed_in(ada).get(reverse("admin:index")).text

    @pytest.mark.parametrize("name", ["accounts_user", *ONLY_FOR_ADMINISTRATORS])
    def test_contributors_and_strangers(self, client: Client, alice: User, name: str) -> None:
        url = reverse(f"admin:{name}_changelist")
        assert signed_in(alice).get(url).status_code == 403
        assert client.get(url)["Location"] == f"/accounts/login/?next={url}"


class TestPeople:
    def test_the_page_of_a_person(self, mo: User, alice: User, bob: User) -> None:
        prompt = growing_tree(alice)
        new_reply(prompt, bob, "Flour first.")
        page = signed_in(mo).get(page_of(bob)).text
        assert "Flour first." in page
        assert 'kind=reply">1</a>' in page
        assert str(bob.email) in page
        assert 'name="role"' not in page and 'name="enabled"' not in page

    def test_only_what_is_deleted_looks_so(self, mo: User, alice: User, bob: User) -> None:
        reply = new_reply(growing_tree(alice), bob)
        pages = (page_of(bob), reverse("admin:trees_messagetree_change", args=[reply.tree_id]))
        for fields, looks in (({"hidden": True}, False), ({"hidden": False, "deleted": True}, True)):
            Message.objects.filter(pk=reply.pk).update(**fields)
            assert [("desk-turn--deleted" in signed_in(mo).get(page).text) for page in pages] == [looks, looks]

    def test_no_hash_of_a_password_is_shown(self, ada: User, alice: User) -> None:
        page = signed_in(ada).get(page_of(alice)).text
        assert alice.password not in page and "md5$" not in page

    def test_search_and_filters(self, mo: User, alice: User, eve: User) -> None:
        client = signed_in(mo)
        for query in ({"q": "aLIc"}, {"q": str(alice.email)}, {"q": str(alice.pk)}):
            page = client.get(reverse(PEOPLE), query).text
            assert str(alice.email) in page and str(eve.email) not in page
        account_bans.ban(eve, actor=mo, reason="Spam.")
        page = client.get(reverse(PEOPLE), {"enabled__exact": "0"}).text
        assert str(eve.email) in page and str(alice.email) not in page
        page = client.get(reverse(PEOPLE), {"role__exact": "moderator"}).text
        assert str(mo.email) in page and str(alice.email) not in page

    def test_ten_times_the_people_cost_the_same(self, mo: User, alice: User) -> None:
        client = signed_in(mo)
        for _ in range(10):  # so many are a point, and who has points has places
            new_prompt(alice)

        def statements(url: str) -> int:
            client.get(url)
            with CaptureQueriesContext(connection) as captured:
                assert client.get(url).status_code == 200
            return len(captured)

        before = statements(reverse(PEOPLE)), statements(page_of(alice))
        new_people(20)
        for _ in range(90):
            new_prompt(alice)
        assert (statements(reverse(PEOPLE)), statements(page_of(alice))) == before
        assert max(before) <= 12

    @pytest.mark.parametrize("role", ["moderator", "admin"])
    def test_no_form_adds_changes_or_deletes(self, alice: User, role: str) -> None:
        client = signed_in(new_person("Max", role))
        assert client.post(page_of(alice), {"role": "admin", "display_name": "X"}).status_code == 403
        assert client.get(reverse("admin:accounts_user_add")).status_code == 403
        assert client.post(reverse("admin:accounts_user_delete", args=[alice.pk]), {"post": "yes"}).status_code == 403
        alice.refresh_from_db()
        assert (alice.role, alice.display_name) == ("general", "Alice")


class TestBan:
    def test_ban_and_unban(self, mo: User, eve: User) -> None:
        client = signed_in(mo)
        assert "suspended." in act(client, "ban", eve, reason="Advertising.")
        eve.refresh_from_db()
        assert (eve.enabled, eve.ban_reason) == (False, "Advertising.")
        assert "may take part again." in act(client, "unban", eve, reason="They promised.")
        assert enabled(eve)
        entries = list(AuditEntry.objects.order_by("id").values_list("actor", "act", "text__reason"))
        ban, unban = (mo.pk, "account.ban", "Advertising."), (mo.pk, "account.unban", "They promised.")
        assert entries == [ban, unban]

    def test_equals_and_higher_ranks_are_refused_and_the_others_done(self, mo: User, ada: User, eve: User) -> None:
        max_ = new_person("Max", "moderator")
        page = act(signed_in(mo), "ban", mo, max_, ada, eve)
        assert page.count("higher rank") == 3
        assert [enabled(person) for person in (mo, max_, ada, eve)] == [True, True, True, False]

    def test_administrators_ban_moderators_and_never_each_other(self, mo: User, ada: User) -> None:
        other = new_person("Other", "admin")
        act(signed_in(ada), "ban", mo, other, ada)
        assert [enabled(person) for person in (mo, other, ada)] == [False, True, True]

    @pytest.mark.parametrize("action", ["ban", "unban"])
    def test_without_a_reason_nothing_is_done(self, mo: User, eve: User, action: str) -> None:
        User.objects.filter(pk=eve.pk).update(enabled=action == "ban")
        assert "Nothing was done. Please say why" in act(signed_in(mo), action, eve, reason=" ")
        assert enabled(eve) == (action == "ban")
        assert not AuditEntry.objects.exists()

    def test_contributors_and_strangers_do_nothing(self, client: Client, alice: User, eve: User) -> None:
        data = {"action": "ban", "reason": "Mine.", "_selected_action": str(eve.pk)}
        assert signed_in(alice).post(reverse(PEOPLE), data).status_code == 403
        assert client.post(reverse(PEOPLE), data).status_code == 302
        assert enabled(eve)


class TestProgramsAndTheClock:
    def test_keys_are_listed_and_never_shown(self, ada: User) -> None:
        client = signed_in(ada)
        program, secret = api_clients.create_api_client(name="Discord bot", trusted=True)
        key = ApiKey.objects.get()
        _, token = tokens.new_token(ada)
        for url in (
            reverse("admin:accounts_apiclient_changelist"),
            reverse("admin:accounts_apiclient_change", args=[program.pk]),
            reverse("admin:accounts_apikey_changelist"),
            reverse("admin:accounts_apikey_change", args=[key.pk]),
            page_of(ada),
        ):
            page = client.get(url).text
            for hidden in (secret, key.digest, token, Token.objects.get().digest):
                assert hidden not in page
        assert "Discord bot" in client.get(reverse("admin:accounts_apikey_changelist")).text


class TestPurge:
    """From the ban button on the page of a user to lifting the ban there."""

    def go_on(self) -> Purge:
        """Run what the worker does after the commit."""
        return purging.continue_purge(purge_id=Purge.objects.get().pk, policy=TreePolicy())

    def test_the_whole_way(self, mo: User, eve: User, alice: User) -> None:
        prompt = growing_tree(alice)
        reply = new_reply(prompt, eve, "Buy my flour!")
        client = signed_in(mo)
        address = reverse("admin:accounts_user_purge", args=[eve.pk])
        assert f'action="{address}"' in client.get(page_of(eve)).text
        assert client.get(address).status_code == 200
        page = client.post(address, {"step": "preview"}).text
        assert 'Messages of theirs that go</th><td class="desk-number">1<' in page
        assert not Message.objects.get(pk=reply.pk).deleted and enabled(eve)

        alone = {"step": "alone", "name": "Eve"}
        response = client.post(address, {**alone, "reason": " "})
        assert response.status_code == 422 and "Please say why, in up to 500 characters." in response.text
        assert not Purge.objects.exists() and enabled(eve)
        assert f'value="{TOO_LONG}"' in client.post(address, {**alone, "reason": TOO_LONG}).text

        page = client.post(address, {**alone, "reason": "Advertising."}, follow=True).text
        assert "The purge is under way." in page and "1 are left" in page
        assert not enabled(eve)
        self.go_on()
        assert Message.objects.get(pk=reply.pk).deleted
        page = client.get(page_of(eve)).text
        assert "Undo the purge" in page and "Advertising." in page and "Count what would go" not in page
        assert "purged already" in client.post(address, {**alone, "reason": "Again."}).text

        undo = {"action": "undo", "_selected_action": [str(Purge.objects.get().pk)], "_from_details": "1"}
        page = client.post(reverse("admin:trees_purge_changelist"), {**undo, "reason": TOO_LONG}, follow=True).text
        assert "1 too many" in page and f'value="{TOO_LONG}"' in page
        page = client.post(reverse("admin:trees_purge_changelist"), {**undo, "reason": "Not her."}, follow=True).text
        assert "is being undone." in page
        assert self.go_on().undo_reason == "Not her."
        assert not Message.objects.get(pk=reply.pk).deleted and enabled(eve)
        page = client.get(page_of(eve)).text
        assert "Undone" in page and "Undo the purge" not in page and "Not her." in page

    def test_the_reason_stays_while_others_are_at_work(
        self, mo: User, eve: User, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def busy(**given: Any) -> None:
            raise Busy("Others are at work here.", code="busy", retry_after=1)

        new_reply(growing_tree(alice), eve)
        begun = purging.start_purge(user=eve, actor=mo, reason="Advertising.")
        self.go_on()
        monkeypatch.setattr(purging, "undo_purge", busy)
        undo = {"action": "undo", "_selected_action": [str(begun.pk)], "_from_details": "1", "reason": "Not her."}
        page = signed_in(mo).post(reverse("admin:trees_purge_changelist"), undo, follow=True).text
        assert "Others are at work here." in page and 'value="Not her."' in page
        monkeypatch.setattr(purge_proposals, "purge_alone", busy)
        monkeypatch.setattr(purging, "preview_purge", busy)
        address = reverse("admin:accounts_user_purge", args=[new_person("Spammer").pk])
        page = signed_in(mo).post(address, {"step": "alone", "reason": "Not her.", "name": "Spammer"}).text
        assert "Others are at work here." in page and 'value="Not her."' in page and "Count what would go" in page

    def test_not_of_equals_and_not_by_contributors(self, mo: User, alice: User, eve: User) -> None:
        other = new_person("Max", "moderator")
        address = reverse("admin:accounts_user_purge", args=[other.pk])
        for person in (other, mo):  # not offered, and a typed URL is refused
            assert 'id="purge-title"' not in signed_in(mo).get(page_of(person)).text
        response = signed_in(mo).get(address)
        assert response.status_code == 403 and "higher rank" in response.text
        for step in ("preview", "propose", "confirm", "alone"):
            response = signed_in(mo).post(address, {"step": step, "reason": "Spam."})
            assert response.status_code == 422 and "higher rank" in response.text
            assert "Count what would go" not in response.text
            assert signed_in(alice).post(address, {"step": step, "reason": "Spam."}).status_code == 403
        assert enabled(other) and not Purge.objects.exists()
        assert signed_in(mo).get(reverse("admin:accounts_user_purge", args=[uuid4()])).status_code == 404

    def test_nor_is_their_undo(self, mo: User, ada: User) -> None:
        other = new_person("Max", "moderator")
        begun = purging.start_purge(user=other, actor=ada, reason="Spam.")
        pages = (page_of(other), reverse("admin:trees_purge_change", args=[begun.pk]))
        for person, offered in ((mo, False), (ada, True)):
            assert [('value="undo"' in signed_in(person).get(page).text) for page in pages] == [offered, offered]

    def test_the_command(self, mo: User, eve: User, alice: User) -> None:
        prompt = new_prompt(eve)

        def output_of(**options: object) -> str:
            out = StringIO()
            call_command("purge_user", str(eve.email), by=str(mo.pk), stdout=out, **options)
            return out.getvalue()

        assert "1 Messages of theirs that go" in output_of(preview=True)
        assert enabled(eve) and not Message.objects.get(pk=prompt.pk).deleted
        with pytest.raises(CommandError, match="There is no purge"):
            output_of(undo=True, reason="Sorry.")
        assert "1 Conversations that stop" in output_of(reason="Spam.")
        assert Message.objects.get(pk=prompt.pk).deleted and not enabled(eve)
        assert output_of(undo=True, reason="Sorry.") == "Everything is back.\n"
        assert enabled(eve) and not Message.objects.get(pk=prompt.pk).deleted
        with pytest.raises(CommandError, match="nobody known as"):
            call_command("purge_user", "no@example.org", by=str(mo.pk))


class TestBannedAuthors:
    """Waiting prompts of a banned author do not count toward the limit of their language."""

    def follow(self, person: User) -> None:
        banned_authors.stop_or_resume_prompts(person_id=person.pk, policy=TreePolicy())

    def test_they_are_taken_out_and_come_back(self, mo: User, eve: User, alice: User) -> None:
        in_review, waiting = new_prompt(eve), new_prompt(eve)
        decide(waiting)
        growing = new_prompt(alice)
        before = read_supply("en", TreePolicy())
        act(signed_in(mo), "ban", eve, reason="Rude.")
        self.follow(eve)
        assert state_of(in_review) == state_of(waiting) == State.HALTED_BY_MODERATOR
        assert state_of(growing) == State.INITIAL_PROMPT_REVIEW
        supply = read_supply("en", TreePolicy())
        assert (supply.in_review, supply.waiting) == (before.in_review - 1, before.waiting - 1)
        self.follow(eve)
        act(signed_in(mo), "unban", eve, reason="They promised.")
        self.follow(eve)
        assert read_supply("en", TreePolicy()) == before
        assert (state_of(in_review), state_of(waiting)) == (State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING)
        ban = Ban.objects.get()
        assert (ban.reason, ban.lift_reason, ban.actor, ban.lifted_by) == ("Rude.", "They promised.", mo, mo)
        page = signed_in(mo).get(page_of(eve)).text
        assert "Rude." in page and "They promised." in page

    def test_a_tree_that_grows_goes_on_without_them(self, mo: User, eve: User) -> None:
        prompt = growing_tree(eve)
        act(signed_in(mo), "ban", eve)
        self.follow(eve)
        assert state_of(prompt) == State.GROWING

    def test_what_a_moderator_stopped_stays_stopped(self, mo: User, eve: User) -> None:
        prompt = new_prompt(eve)
        moderator_actions.halt(tree_id=prompt.tree_id, actor=mo, reason="Odd.", policy=TreePolicy())
        for action in ("ban", "unban"):
            act(signed_in(mo), action, eve)
            self.follow(eve)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
