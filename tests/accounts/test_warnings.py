"""Warnings: what a person sees until they confirm, who may warn, and taking a warning back."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from oasst.accounts import closing, warnings
from oasst.accounts.models import AccountWarning, User
from oasst.core.errors import Conflict, Invalid, NotAllowed, NotFound
from oasst.core.models import AuditEntry
from oasst.site.desk import undoing
from oasst.site.merging import merge_users
from oasst.site.models import DeskDecision, Notice
from oasst.site.notices import personal, queries
from tasks.kinds import Kind
from tests.crowd import take
from tests.factories import new_person, new_prompt
from trees.lifecycle.policy import TreePolicy
from trees.moderation import appealing

pytestmark = pytest.mark.django_db
WORDS = "Please do not paste <answers> of chatbots."


@pytest.fixture
def warning(alice: User, mo: User) -> AccountWarning:
    return warnings.warn(user=alice, actor=mo, reason=WORDS, about="Eleven answers")


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def task_page(person: User) -> str:
    new_prompt(new_person("Writer"))
    return reverse("task", args=[take(person, TreePolicy(), Kind.LABEL_INITIAL_PROMPT).pk])


class TestSeeing:
    def test_it_stands_before_the_next_task_once(self, browser: Client, alice: User, warning: AccountWarning) -> None:
        task = task_page(alice)
        assert browser.get("/dashboard/").status_code == 200, "reading is not stopped"
        response = browser.get(task)
        assert response["Location"] == f"/me/warning/?next={task.replace('/', '%2F')}"
        page = browser.get(response["Location"]).text
        assert "Please do not paste &lt;answers&gt; of chatbots." in page and "Eleven answers" in page
        assert "Mo" not in page.split("<main", 1)[1].split("</main", 1)[0].replace("Moderat", "").replace("moderat", "")
        confirmed = browser.post("/me/warning/confirm/", {"warning": warning.pk, "next": task})
        assert confirmed["Location"] == task and browser.get(task).status_code == 200
        warning.refresh_from_db()
        alice.refresh_from_db()
        assert warning.confirmed_at is not None and alice.warned_at is None
        assert browser.get("/me/warning/")["Location"] == "/dashboard/"

    def test_two_are_confirmed_one_by_one(self, browser: Client, alice: User, mo: User) -> None:
        first, second = (warnings.warn(user=alice, actor=mo, reason=reason) for reason in ("One.", "Two."))
        assert "One." in browser.get("/me/warning/").text
        browser.post("/me/warning/confirm/", {"warning": first.pk})
        assert "Two." in browser.get("/me/warning/").text
        browser.post("/me/warning/confirm/", {"warning": second.pk})
        alice.refresh_from_db()
        assert alice.warned_at is None

    def test_a_sent_form_is_not_refused(self, browser: Client, alice: User, mo: User) -> None:
        task = task_page(alice)
        warnings.warn(user=alice, actor=mo, reason=WORDS)
        assert browser.post(task, {"spam": "0", "quality": "1"})["Location"] != "/me/warning/"

    def test_nobody_else_confirms_it(self, client: Client, bob: User, warning: AccountWarning) -> None:
        client.force_login(bob)
        for value in (warning.pk, "x", "9" * 30, ""):
            assert client.post("/me/warning/confirm/", {"warning": value}).status_code == 404
        warning.refresh_from_db()
        assert warning.confirmed_at is None

    def test_it_leads_only_to_pages_of_the_site(self, browser: Client, warning: AccountWarning) -> None:
        sent = {"warning": warning.pk, "next": "https://elsewhere.example/"}
        assert browser.post("/me/warning/confirm/", sent)["Location"] == "/dashboard/"


class TestGiving:
    def test_it_is_in_the_log(self, warning: AccountWarning, alice: User, mo: User) -> None:
        entry = AuditEntry.objects.get(act="account.warn")
        assert (entry.actor, entry.person, entry.text.reason) == (mo, alice, WORDS)
        assert warnings.find_entry_id(warning) == entry.pk

    def test_refusals(self, alice: User, bob: User, mo: User) -> None:
        with pytest.raises(NotAllowed):
            warnings.warn(user=alice, actor=bob, reason=WORDS)
        with pytest.raises(NotAllowed):
            warnings.warn(user=new_person("Moritz", "moderator"), actor=mo, reason=WORDS)
        with pytest.raises(Invalid):
            warnings.warn(user=alice, actor=mo, reason="  ")
        closing.close_account(alice)
        with pytest.raises(Conflict):
            warnings.warn(user=alice, actor=mo, reason=WORDS)
        assert not AccountWarning.objects.exists()

    def test_on_the_page_of_the_person(self, alice: User, mo: User) -> None:
        desk = Client()
        desk.force_login(mo)
        data = {"action": "warn", "reason": WORDS, "_selected_action": str(alice.pk)}
        assert "warned" in desk.post("/admin/accounts/user/", data, follow=True).text
        page = desk.get(f"/admin/accounts/user/{alice.pk}/change/").text
        assert "not read yet" in page and "&lt;answers&gt;" in page
        row = alice.warnings.get()
        data = {"action": "withdraw", "reason": "Wrong person.", "_selected_action": row.pk}
        assert "taken back" in desk.post("/admin/accounts/accountwarning/", data, follow=True).text

    def test_it_goes_with_the_account_and_moves_with_a_merge(
        self, warning: AccountWarning, alice: User, bob: User
    ) -> None:
        merge_users(destination_id=bob.pk, source_ids=[alice.pk])
        bob.refresh_from_db()
        assert bob.warned_at == warning.at and warnings.unconfirmed_warning(bob) == warning
        closing.close_account(bob)
        assert not AccountWarning.objects.exists()


class TestTakingBack:
    def test_before_it_was_read(self, warning: AccountWarning, alice: User, mo: User) -> None:
        personal.tell_of_warning(warning.pk)
        assert Notice.objects.get().kind == "warned"
        warnings.withdraw_warning(warning.pk, mo, "Wrong person.")
        personal.tell_of_warning(warning.pk)
        alice.refresh_from_db()
        assert alice.warned_at is None and not Notice.objects.exists()
        with pytest.raises(Conflict):
            warnings.withdraw_warning(warning.pk, mo, "Again.")
        with pytest.raises(NotFound):
            warnings.withdraw_warning(0, mo, "Again.")

    def test_who_has_read_it_hears_of_that(self, warning: AccountWarning, alice: User, mo: User) -> None:
        for _ in range(2):
            personal.tell_of_warning(warning.pk)
        (entry,) = queries.page_of(alice.pk).entries
        assert entry.text == f"You have a warning from a moderator. The moderator wrote: “{WORDS}”"
        Notice.objects.update(read_at=timezone.now())
        warnings.withdraw_warning(warning.pk, mo, "Wrong person.")
        for _ in range(2):
            personal.tell_of_warning(warning.pk)
        (entry,) = queries.page_of(alice.pk).entries
        assert entry.text == "A moderator took back a warning." and entry.unread

    def test_an_appeal_takes_it_back(self, browser: Client, warning: AccountWarning, alice: User) -> None:
        entry_id = warnings.find_entry_id(warning)
        page = browser.get(f"/me/decisions/{entry_id}/").text
        assert "&lt;answers&gt;" in page and "Send the appeal" in page
        browser.post(f"/me/decisions/{entry_id}/appeal/", {"text": "Those were my own words."})
        appealing.grant(
            alice.appeals.get().pk, actor=new_person("Mia", "moderator"), answer="Sorry.", policy=TreePolicy()
        )
        warning.refresh_from_db()
        assert warning.withdrawn_at is not None and alice.appeals.get().status == "granted"


def test_the_desk_undoes_it(warning: AccountWarning, alice: User, mo: User) -> None:
    entry = AuditEntry.objects.get(act="account.warn")
    about = {"subject_kind": "person", "subject_id": str(alice.pk), "act": "warn", "reason": WORDS, "session": "s"}
    decision = DeskDecision.objects.create(moderator=mo, entries=[entry.pk], **about)
    sent = appealing.appeal(alice, entry.pk, "No.")
    undoing.undo_decision(decision, actor=mo, reason="A slip.")
    warning.refresh_from_db()
    sent.refresh_from_db()
    assert warning.withdrawn_at is not None and sent.status == "granted"
