"""Staff change the account of somebody else: name, role, notes and whether it is on the boards."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from leaderboard.models import Standing
from leaderboard.time_frames import Frame
from oasst.accounts import account_changes
from oasst.accounts.models import User
from oasst.core.errors import DomainError
from oasst.core.models import AuditEntry
from tests.factories import growing_tree, new_person, new_reply

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(db: None) -> User:
    return new_person("Ada", role="admin")


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def form_of(person: User) -> str:
    return reverse("admin:accounts_user_edit", args=[person.pk])


def shown(person: User) -> dict[str, Any]:
    """Return what the browser sends of a form in which nothing was touched."""
    values = {"display_name": person.display_name, "role": person.role, "notes": person.notes}
    hidden = {f"initial-{name}": value for name, value in values.items()}
    on = {"show_on_leaderboard": "on", "initial-show_on_leaderboard": "True"} if person.show_on_leaderboard else {}
    return {**values, **hidden, **on, "reason": "Because."}


class TestPage:
    def test_it_works(self, ada: User, eve: User) -> None:
        client = signed_in(ada)
        assert f'href="{form_of(eve)}"' in client.get(reverse("admin:accounts_user_change", args=[eve.pk])).text
        assert 'name="role"' in client.get(form_of(eve)).text
        sent = {"display_name": "Evelyn", "role": "moderator", "notes": "Helps a lot.", "reason": "She asked."}
        page = client.post(form_of(eve), {**shown(eve), **sent}, follow=True).text
        assert "Changed: Display name, Role, Notes." in page
        eve.refresh_from_db()
        assert (eve.display_name, eve.role, eve.notes, eve.show_on_leaderboard) == (
            *("Evelyn", "moderator", "Helps a lot."),
            True,
        )
        entry = AuditEntry.objects.get()
        assert (entry.act, entry.text.reason) == ("account.change", "She asked.")
        changed = json.loads(entry.text.before)["user"][str(eve.pk)]
        assert {"display_name": "Eve", "role": "general", "notes": ""}.items() <= changed.items()

    def test_it_shows_messages_and_statistics(self, mo: User, alice: User, bob: User) -> None:
        new_reply(growing_tree(alice), bob, "Flour first.")
        Standing.objects.create(person=bob, frame=Frame.TOTAL, lang="", replies_assistant=5)
        page = signed_in(mo).get(reverse("admin:accounts_user_change", args=[bob.pk])).text
        assert "Flour first." in page and "Answers as the assistant</th>" in page and "7 days</th>" in page

    def test_what_was_not_touched_stays_as_somebody_else_changed_it(self, mo: User, eve: User) -> None:
        sent = {**shown(eve), "display_name": "Evelyn"}
        User.objects.filter(pk=eve.pk).update(notes="Written meanwhile.", show_on_leaderboard=False)
        signed_in(mo).post(form_of(eve), sent)
        eve.refresh_from_db()
        assert (eve.display_name, eve.notes, eve.show_on_leaderboard) == ("Evelyn", "Written meanwhile.", False)

    def test_moderators_change_no_role(self, mo: User, eve: User) -> None:
        client = signed_in(mo)
        assert 'name="role"' not in client.get(form_of(eve)).text
        client.post(form_of(eve), {**shown(eve), "role": "moderator"})
        eve.refresh_from_db()
        assert eve.role == "general"

    def test_a_changed_role_needs_a_recent_proof(self, ada: User, eve: User, monkeypatch: Any) -> None:
        client = signed_in(ada)
        monkeypatch.setattr("oasst.site.admin.account_changes.is_recently_proved", lambda request: False)
        response = client.post(form_of(eve), {**shown(eve), "role": "admin"})
        assert response["Location"].startswith("/accounts/")
        eve.refresh_from_db()
        assert eve.role == "general"

    @pytest.mark.parametrize(
        ("sent", "told"),
        [
            ({"display_name": "Alice"}, "Somebody has this name"),
            ({"display_name": "Moderator"}, "is kept for the people"),
            ({"notes": "x" * 1025}, "too many"),
            ({"reason": " "}, "required"),
        ],
    )
    def test_a_refusal_keeps_what_was_typed_and_changes_nothing(
        self, mo: User, eve: User, alice: User, sent: dict[str, str], told: str
    ) -> None:
        response = signed_in(mo).post(form_of(eve), {**shown(eve), "notes": "Typed.", **sent})
        assert response.status_code == 422 and told in response.text
        assert sent.get("notes", "Typed.") in response.text
        eve.refresh_from_db()
        assert (eve.display_name, eve.notes) == ("Eve", "") and not AuditEntry.objects.exists()


class TestRights:
    @pytest.mark.parametrize("role", ["general", "moderator"])
    def test_nobody_changes_equals_or_a_higher_rank(self, mo: User, ada: User, role: str) -> None:
        actor = mo if role == "moderator" else new_person("Max")
        for target in (actor, new_person("Other", "moderator"), ada):
            assert signed_in(actor).get(form_of(target)).status_code == 403
            with pytest.raises(DomainError) as refused:
                account_changes.change_account(target, actor=actor, reason="Mine.", notes="x")
            assert refused.value.code in ("rank", "moderators_only")

    def test_administrators_are_not_changed_by_each_other(self, ada: User) -> None:
        """So the last one stays."""
        with pytest.raises(DomainError) as refused:
            account_changes.change_account(new_person("Ida", "admin"), actor=ada, reason="Mine.", role="general")
        assert refused.value.code == "rank"

    def test_the_rank_is_that_of_now(self, ada: User, eve: User) -> None:
        User.objects.filter(pk=ada.pk).update(role="moderator")
        with pytest.raises(DomainError) as refused:
            account_changes.change_account(eve, actor=ada, reason="Mine.", role="admin")
        assert refused.value.code == "administrators_only"
        eve.refresh_from_db()
        assert eve.role == "general"

    def test_a_closed_account_is_not_changed(self, ada: User, eve: User) -> None:
        User.objects.filter(pk=eve.pk).update(is_active=False)
        with pytest.raises(DomainError) as refused:
            account_changes.change_account(eve, actor=ada, reason="Mine.", notes="x")
        assert refused.value.code == "closed"

    def test_a_role_that_is_none(self, ada: User, eve: User) -> None:
        with pytest.raises(DomainError) as refused:
            account_changes.change_account(eve, actor=ada, reason="Mine.", role="king")
        assert refused.value.code == "role"
