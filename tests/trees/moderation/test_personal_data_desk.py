"""Personal data in stored texts: moderators and authors mask it in one step, or let it stay."""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from oasst.accounts import api_clients
from oasst.accounts.models import User
from oasst.core.errors import Conflict, NotAllowed, NotFound
from tests.factories import DEFAULT, new_person, new_prompt
from tests.trees.enrichment.test_builtin import read_all
from trees.models import Message, MessageReading, Proposal, Revision
from trees.moderation import moderator_actions, personal_data

pytestmark = pytest.mark.django_db
TEXT = "Please mail jo.berg@posteo.net or call +49 1512 7734901 about <b>bread</b>."
MASKED = "Please mail [e-mail address] or call [phone number] about <b>bread</b>."


@pytest.fixture
def message(alice: User) -> Message:
    """A text that Alice sent through an API client, read by machines."""
    client, _ = api_clients.create_api_client(name="bot", trusted=False)
    found = new_prompt(alice, TEXT)
    Message.objects.filter(pk=found.pk).update(api_client=client.pk)
    read_all()
    return Message.objects.get(pk=found.pk)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def reading(message: Message) -> MessageReading:
    return MessageReading.objects.get(revision=message.revision_id, kind="personal_data")


def about(message: Message) -> dict[str, Any]:
    return {"message_id": message.pk, "revision_id": str(message.revision_id)}


def propose_removal(message: Message) -> None:
    Proposal.objects.create(
        tree_id=message.tree_id, message=message, revision_id=message.revision_id, voices=3, status="open", stops=False
    )


class TestDesk:
    def page(self, mo: User, message: Message) -> str:
        return signed_in(mo).get(reverse("admin:trees_message_change", args=[message.pk])).content.decode()

    def post(self, mo: User, message: Message, **data: str) -> Any:
        url = reverse("admin:trees_message_personal_data", args=[message.pk])
        return signed_in(mo).post(url, {"revision": str(message.revision_id), **data}, follow=True)

    def test_the_start_page_counts_them_and_leads_to_the_list(self, mo: User, message: Message) -> None:
        browser = signed_in(mo)
        start = browser.get(reverse("admin:index")).content.decode()
        assert "with personal data, as machines say" in start and "the oldest: " in start
        url = reverse("admin:trees_message_changelist") + "?read=personal&deleted__exact=0"
        assert url.replace("&", "&amp;") in start
        assert "Please mail" in browser.get(url).content.decode()

    def test_the_page_shows_the_masked_text_and_one_press_stores_it(self, mo: User, message: Message) -> None:
        page = self.page(mo, message)
        assert "[e-mail address]" in page and "&lt;b&gt;bread" in page and ">Mask it<" in page
        answer = self.post(mo, message, mask="1").content.decode()
        assert "The personal data are masked." in answer and ">Mask it<" not in answer
        message.refresh_from_db()
        assert (message.text, message.edited) == (MASKED, True)
        new = Revision.objects.get(pk=message.revision_id)
        assert (new.author, new.reason) == (mo, "Personal data masked.")
        assert personal_data.readings().count() == 0
        read_all()
        assert not reading(message).flagged and personal_data.readings().count() == 0

    def test_what_may_stay_is_not_asked_about_again(self, mo: User, message: Message) -> None:
        assert "The personal data stay." in self.post(mo, message, keep="1").content.decode()
        assert not reading(message).flagged and not personal_data.readings().exists()
        assert "E-mail address: " in self.page(mo, message) and ">It may stay<" not in self.page(mo, message)
        call_command("read_messages", kind=["personal_data"], again=True)
        assert not reading(message).flagged, "a re-run that finds the same asks nobody"
        MessageReading.objects.update(result={"spans": []})
        call_command("read_messages", kind=["personal_data"], again=True)
        assert reading(message).flagged and reading(message).settled_at is None, "another result is asked about"

    def test_a_text_that_was_changed_meanwhile_is_left_alone(self, mo: User, message: Message) -> None:
        moderator_actions.edit_message(
            message_id=message.pk, actor=mo, text="Call +49 1512 7734901.", reason="test", policy=DEFAULT
        )
        read_all()
        for data in ({"mask": "1"}, {"keep": "1"}, {"mask": "1", "revision": "no id"}):
            assert "The text was changed" in self.post(mo, message, **data).content.decode()
        message.refresh_from_db()
        assert message.text == "Call +49 1512 7734901." and reading(message).flagged

    def test_complaints_are_decided_first(self, mo: User, message: Message) -> None:
        propose_removal(message)
        assert "That has to be decided first." in self.page(mo, message)
        with pytest.raises(Conflict, match="Decide about that first"):
            personal_data.mask(**about(message), actor=mo, policy=DEFAULT)

    def test_deleted_texts_do_not_wait(self, mo: User, message: Message) -> None:
        moderator_actions.delete_message(message_id=message.pk, actor=mo, reason="spam", policy=DEFAULT)
        assert not personal_data.readings().exists() and ">Mask it<" not in self.page(mo, message)

    def test_names_and_findings_of_a_newer_release_are_not_masked(self, mo: User, message: Message) -> None:
        spans = [[0, 6, "name"], [7, 11, "badge"], [12, 30, "email"]]
        MessageReading.objects.filter(kind="personal_data").update(result={"spans": spans})
        personal_data.mask(**about(message), actor=mo, policy=DEFAULT)
        message.refresh_from_db()
        assert message.text.startswith("Please mail [e-mail address] or call +49 1512")

    def test_strangers_are_refused(self, eve: User, message: Message) -> None:
        with pytest.raises(NotAllowed):
            personal_data.mask(**about(message), actor=eve, policy=DEFAULT)
        with pytest.raises(NotAllowed):
            personal_data.keep(**about(message), actor=eve)
        message.refresh_from_db()
        assert message.text == TEXT and reading(message).flagged


class TestAuthor:
    def url(self, message: Message) -> str:
        return reverse("message_personal_data", args=[message.pk])

    def answer(self, user: User, message: Message, answer: str) -> Any:
        data = {"answer": answer, "revision": str(message.revision_id)}
        return signed_in(user).post(self.url(message), data, follow=True)

    def test_my_contributions_lead_to_the_question(self, alice: User, message: Message) -> None:
        page = signed_in(alice).get(reverse("contributions")).content.decode()
        assert "May hold personal data" in page and self.url(message) in page
        page = signed_in(alice).get(self.url(message)).content.decode()
        assert "jo.berg@posteo.net" in page and "[phone number]" in page and "Mask it" in page
        assert "&lt;b&gt;bread" in page

    def test_masking(self, alice: User, message: Message) -> None:
        page = self.answer(alice, message, "mask").content.decode()
        assert "Your text is masked." in page and "May hold personal data" not in page
        message.refresh_from_db()
        assert message.text == MASKED and Revision.objects.get(pk=message.revision_id).author == alice

    def test_leaving_it_asks_the_author_no_more_and_the_desk_still(self, alice: User, message: Message) -> None:
        assert "May hold personal data" not in self.answer(alice, message, "keep").content.decode()
        assert personal_data.readings().count() == 1
        call_command("read_messages", kind=["personal_data"], again=True)
        assert not personal_data.texts_to_ask_about(alice)
        message.refresh_from_db()
        assert message.text == TEXT

    def test_who_was_asked_on_a_page_is_not_asked_again(self, alice: User, message: Message) -> None:
        Message.objects.update(api_client=None)
        assert not personal_data.texts_to_ask_about(alice)

    def test_what_a_moderator_decided_is_not_asked(self, alice: User, mo: User, message: Message) -> None:
        personal_data.keep(**about(message), actor=mo)
        assert not personal_data.texts_to_ask_about(alice)
        assert signed_in(alice).get(self.url(message)).status_code == 404

    def test_complaints_are_decided_first(self, alice: User, message: Message) -> None:
        propose_removal(message)
        assert "Mask it" not in signed_in(alice).get(self.url(message)).content.decode()
        assert self.answer(alice, message, "mask").status_code == 409
        message.refresh_from_db()
        assert message.text == TEXT

    def test_what_is_hidden_is_not_shown_to_its_author(self, alice: User, message: Message) -> None:
        Message.objects.filter(pk=message.pk).update(hidden=True)
        assert "jo.berg" not in signed_in(alice).get(reverse("contributions")).content.decode()
        assert signed_in(alice).get(self.url(message)).status_code == 404
        for answer in ("mask", "keep"):
            assert self.answer(alice, message, answer).status_code == 404
        assert not reading(message).author_keeps

    def test_texts_of_others_are_not_found(self, eve: User, message: Message) -> None:
        assert signed_in(eve).get(self.url(message)).status_code == 404
        for answer in ("mask", "keep"):
            assert self.answer(eve, message, answer).status_code == 404
        with pytest.raises(NotFound):
            personal_data.mask_own(**about(message), author=eve, policy=DEFAULT)
        assert not reading(message).author_keeps

    def test_one_statement_however_many_texts(self, alice: User, message: Message) -> None:
        for number in range(30):
            other = new_prompt(alice, f"{TEXT} {number}")
            Message.objects.filter(pk=other.pk).update(api_client=message.api_client_id)
        read_all()
        with CaptureQueriesContext(connection) as queries:
            assert len(personal_data.texts_to_ask_about(alice)) == personal_data.MAX_LISTED
        assert len(queries) == 1
        someone = new_person("Someone")
        assert not personal_data.texts_to_ask_about(someone)

    def test_the_desk_may_have_been_quicker(self, alice: User, mo: User, message: Message) -> None:
        MessageReading.objects.update(settled_at=timezone.now(), flagged=False)
        with pytest.raises(NotFound):
            personal_data.keep_own(**about(message), author=alice)
