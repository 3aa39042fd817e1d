"""Duties and languages: what they open, what they leave closed, and who gives them."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from oasst.accounts import account_changes, rights
from oasst.accounts.groups import ADMINISTER, MODERATE, OPERATE, Duty
from oasst.accounts.models import SiteSettings, User
from oasst.accounts.roles import has_higher_rank
from oasst.accounts.site_settings import changing
from oasst.core.errors import DomainError, NotAllowed
from tests.accounts.test_account_changes import form_of, shown
from tests.factories import growing_tree, new_person, new_prompt
from trees.access import reads_everything
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, Report
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(db: None) -> User:
    return new_person("Ada", role="admin")


def with_duty(*duties: Duty, role: str = "general") -> User:
    person = new_person("Olga", role)
    User.objects.filter(pk=person.pk).update(duties=[*duties])
    return User.objects.get(pk=person.pk)


def moderator_of(*langs: str) -> User:
    person = new_person("Else", "moderator")
    User.objects.filter(pk=person.pk).update(moderated_languages=[*langs])
    return User.objects.get(pk=person.pk)


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


class TestDuties:
    def test_an_operator_runs_the_site(self) -> None:
        olga = with_duty(Duty.OPERATOR)
        assert olga.is_staff and not olga.is_moderator and not reads_everything(olga)
        assert (olga.has_perm(OPERATE), olga.has_perm(MODERATE), olga.has_perm(ADMINISTER)) == (True, False, False)
        response = signed_in(olga).get("/admin/", follow=True)
        assert response.status_code == 200 and response.redirect_chain[0][0] != "/admin/"
        assert "Reports" not in response.text and "Waiting jobs" in response.text
        assert changing.change(actor=olga, maintenance=True, reason="We move.") == ["maintenance"]
        assert SiteSettings.objects.get().changed_by == olga

    def test_an_auditor_reads_all_and_changes_nothing(self, alice: User) -> None:
        audrey = with_duty(Duty.AUDITOR)
        assert not reads_everything(audrey)  # outside the admin they are a reader like others
        prompt = growing_tree(alice)
        page = signed_in(audrey).get(reverse("admin:trees_message_change", args=[prompt.pk])).text
        assert 'class="desk-acts"' not in page and "Edit the text" not in page
        page = signed_in(audrey).get(reverse("admin:accounts_user_change", args=[alice.pk])).text
        assert 'class="desk-acts"' not in page and "Purge…" not in page and "Change name" not in page
        assert "Webhooks" in signed_in(audrey).get("/admin/").text
        with pytest.raises(NotAllowed):
            changing.change(actor=audrey, maintenance=True)

    def test_duties_add_up(self) -> None:
        both = with_duty(Duty.OPERATOR, Duty.AUDITOR, role="moderator")
        assert both.group_names == ["Moderators", "Operators", "Auditors"]
        assert both.has_perm(MODERATE) and both.has_perm(OPERATE) and both.has_perm("trees.view_goldmessage")

    def test_a_suspended_operator_has_none(self) -> None:
        olga = with_duty(Duty.OPERATOR)
        User.objects.filter(pk=olga.pk).update(enabled=False)
        olga.refresh_from_db()
        assert (olga.is_staff, olga.group_names, olga.has_perm(OPERATE)) == (False, [], False)

    def test_they_rank_as_moderators_and_raise_nobody(self, mo: User, ada: User, alice: User) -> None:
        audrey = with_duty(Duty.AUDITOR)
        assert (has_higher_rank(mo, audrey), has_higher_rank(ada, audrey)) == (False, True)
        assert not has_higher_rank(audrey, alice)

    def test_they_enter_with_a_second_factor_only(self, settings: Any) -> None:
        settings.REQUIRE_MFA = "staff"
        for duty in Duty:
            response = signed_in(with_duty(duty)).get("/admin/")
            assert response["Location"] == reverse("mfa_index")


class TestGivingThem:
    def test_on_the_page_of_a_person(self, ada: User, alice: User, eve: User) -> None:
        sent = {**shown(eve), "role": "moderator", "duties": ["auditor"], "moderated_languages": ["de", "fr"]}
        page = signed_in(ada).post(form_of(eve), sent, follow=True).text
        assert "Changed: Role, Duties, Moderates." in page
        assert "Auditor" in page and "French, German" in page
        eve.refresh_from_db()
        assert (eve.role, eve.duties, eve.moderated_languages) == ("moderator", ["auditor"], ["de", "fr"])
        found = signed_in(ada).get(reverse("admin:accounts_user_changelist"), {"duty": "auditor"}).text
        assert str(eve.email) in found and str(alice.email) not in found

    def test_what_is_not_touched_stays(self, ada: User) -> None:
        olga = with_duty(Duty.OPERATOR)
        given = {"duties": ["operator"], "initial-duties": ["operator"], "notes": "Nights."}
        signed_in(ada).post(form_of(olga), {**shown(olga), **given})
        olga.refresh_from_db()
        assert (olga.duties, olga.notes) == (["operator"], "Nights.")

    def test_moderators_give_none(self, mo: User, eve: User) -> None:
        page = signed_in(mo).get(form_of(eve)).text
        assert 'name="duties"' not in page and 'name="moderated_languages"' not in page
        for values in ({"duties": ["operator"]}, {"moderated_languages": ["de"]}):
            with pytest.raises(NotAllowed):
                account_changes.change_account(eve, actor=mo, reason="Why not.", **values)

    @pytest.mark.parametrize("values", [{"duties": ["king"]}, {"moderated_languages": ["not a tag!"]}])
    def test_only_such_as_there_are(self, ada: User, eve: User, values: dict[str, Any]) -> None:
        with pytest.raises(DomainError):
            account_changes.change_account(eve, actor=ada, reason="Why not.", **values)
        eve.refresh_from_db()
        assert (eve.duties, eve.moderated_languages) == ([], [])


class TestLanguages:
    def test_none_given_means_all(self, mo: User, ada: User) -> None:
        assert rights.languages_of(mo) is None
        assert rights.languages_of(moderator_of("de", "fr")) == {"de", "fr"}
        User.objects.filter(pk=ada.pk).update(moderated_languages=["de"])
        ada.refresh_from_db()
        assert rights.languages_of(ada) is None  # administrators decide everywhere

    def test_they_read_elsewhere_and_decide_at_home(self, alice: User) -> None:
        other, prompt = moderator_of("de"), growing_tree(alice)
        own = new_prompt(alice, lang="de")
        client = signed_in(other)
        for message, acts in ((prompt, False), (own, True)):
            page = client.get(reverse("admin:trees_message_change", args=[message.pk])).text
            assert ('value="delete"' in page, "Edit the text" in page) == (acts, acts)
        given = {"actor": other, "reason": "Because.", "policy": TreePolicy()}
        with pytest.raises(NotAllowed, match="English"):
            moderator_actions.delete_message(message_id=prompt.pk, **given)
        assert not Message.objects.get(pk=prompt.pk).deleted
        assert moderator_actions.delete_message(message_id=own.pk, **given)

    def test_lists_show_theirs_first(self, alice: User, bob: User) -> None:
        client = signed_in(moderator_of("de"))
        messages = {lang: new_prompt(alice, f"A prompt in {lang}", lang=lang) for lang in ("de", "en")}
        for message in messages.values():
            reactions.report(message_id=message.pk, reporter=bob, category="spam", text="Look.")
        assert Report.objects.count() == 2
        for model in ("message", "messagetree", "report"):
            url = reverse(f"admin:trees_{model}_changelist")
            for query, shown_langs in (({}, {"de"}), ({"lang": "all"}, {"de", "en"}), ({"lang": "en"}, {"en"})):
                page = client.get(url, query).text
                assert {lang for lang in messages if f"A prompt in {lang}" in page} == shown_langs, (model, query)
                assert "Yours" in page and "All languages" in page

    def test_moderators_of_all_see_no_such_choice(self, mo: User, alice: User) -> None:
        new_prompt(alice, "A prompt in en", lang="en")
        page = signed_in(mo).get(reverse("admin:trees_message_changelist")).text
        assert "A prompt in en" in page and "Yours" not in page

    def test_the_messages_of_one_person(self, mo: User, alice: User, bob: User) -> None:
        new_prompt(alice, "Of Alice")
        new_prompt(bob, "Of Bob")
        page = signed_in(mo).get(reverse("admin:accounts_user_change", args=[alice.pk])).text
        address = f"{reverse('admin:trees_message_changelist')}?author={alice.pk}&amp;lang=all"
        assert address in page
        page = signed_in(mo).get(address.replace("&amp;", "&")).text
        assert "Of Alice" in page and "Of Bob" not in page
        assert "Of Bob" not in signed_in(mo).get(reverse("admin:trees_message_changelist"), {"author": "Nobody"}).text
