"""The page of site settings: a form for each group, a preview, one button to end something, and the way back."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from oasst.accounts.groups import Duty
from oasst.accounts.models import SiteSettings, User
from oasst.accounts.site_settings import changing, reading
from oasst.core.models import AuditEntry
from tests.factories import new_person
from tests.tasks.test_pages import signed_in

pytestmark = pytest.mark.django_db
NOW = "/admin/accounts/sitesettings/now/"
HISTORY = "/admin/accounts/sitesettings/"


@pytest.fixture
def ida() -> User:
    return new_person("Ida", role="admin")


@pytest.fixture
def page(ida: User) -> Client:
    return signed_in(ida)


def send(client: Client, part: str, step: str = "save", **given: str) -> Any:
    return client.post(NOW, {"part": part, "step": step, **given}, follow=True)


class TestAnnouncement:
    def test_it_is_previewed_shown_and_ended(self, page: Client, ida: User) -> None:
        words = {"announcement": "We move <soon>.", "announcement_url": "/about/"}
        assert "Please look at these again" not in page.get(NOW).text
        preview = send(page, "announcement", "preview", **words)
        assert "It is not shown yet." in preview.text and 'href="/about/"' in preview.text
        assert "We move &lt;soon&gt;." in preview.text and not SiteSettings.objects.exists()
        shown = send(page, "announcement", **words, reason="The move.")
        assert "Changed: Announcement, Link of the announcement." in shown.text
        row = SiteSettings.objects.get()
        assert (row.announcement, row.changed_by, row.reason) == ("We move <soon>.", ida, "The move.")
        assert "End it now" in page.get(NOW).text
        send(page, "announcement", "off")
        assert not reading.read().has_announcement and "End it now" not in page.get(NOW).text
        assert AuditEntry.objects.filter(act="settings.change", actor=ida).count() == 2

    def test_times_are_those_of_the_person(self, page: Client, ida: User) -> None:
        User.objects.filter(pk=ida.pk).update(time_zone="Asia/Tokyo")
        local = (timezone.now() + timedelta(hours=9, minutes=5)).strftime("%Y-%m-%dT%H:%M")
        far = f"{local[:4]}-12-31T23:30"
        day = datetime.fromisoformat(f"{int(local[:4]) + 1}{far[4:]}")
        given = {"announcement": "We move.", "announcement_until": day.strftime("%Y-%m-%dT%H:%M")}
        text = send(page, "announcement", **given).text
        until = SiteSettings.objects.get().announcement_until
        assert until is not None and until.strftime("%H:%M") == "14:30"
        assert "11:30 p.m." in text and "Asia/Tokyo" in text and "in 1" in text
        assert f'value="{given["announcement_until"]}"' in text

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"announcement": "x", "announcement_url": "javascript:x"}, "begins with /"),
            ({"announcement": "x" * 501}, "1 too many"),
            ({"announcement": "x", "announcement_until": "2020-01-01T10:00"}, "This time is over."),
            ({"announcement": "x", "announcement_until": "soon"}, "Enter a valid date/time."),
            # In UTC it would be a year that nothing can read again.
            ({"announcement": "x", "announcement_until": "9999-12-31T23:59"}, "within ten years"),
            ({"announcement": " "}, "Nothing is written here yet."),
        ],
    )
    def test_a_refusal_is_told_at_the_field(
        self, page: Client, ida: User, given: dict[str, str], sentence: str
    ) -> None:
        User.objects.filter(pk=ida.pk).update(time_zone="America/New_York")
        for step in ("save", "preview"):
            answer = send(page, "announcement", step, **given)
            assert answer.status_code == 422 and sentence in answer.text
        assert not SiteSettings.objects.exists()

    def test_what_somebody_else_changed_meanwhile_stays(self, page: Client) -> None:
        changing.change(actor=None, announcement="New words.", announcement_url="/data/")
        given = {"announcement": "Old words.", "initial-announcement": "Old words.", "announcement_url": "/about/"}
        send(page, "announcement", **given, **{"initial-announcement_url": ""})
        now = reading.read()
        assert (now.announcement, now.announcement_url) == ("New words.", "/about/")


@pytest.mark.parametrize(("part", "column"), [("maintenance", "maintenance"), ("end", "ended")])
class TestWhatClosesTheSite:
    def test_it_takes_a_tick_and_a_reason(self, page: Client, part: str, column: str) -> None:
        answer = send(page, part, "on", reason="The disk is full.")
        assert answer.status_code == 422 and "Please tick this" in answer.text
        assert "Nothing was changed. Please look at these again:" in answer.text  # the page is long and begins above
        assert f'href="#id_{part}_sure"' in answer.text and f'id="id_{part}_sure"' in answer.text
        answer = send(page, part, "on", sure="on")
        assert answer.status_code == 422 and "Say why" in answer.text
        assert not SiteSettings.objects.exists()
        send(page, part, "on", sure="on", reason="The disk is full.")
        assert getattr(reading.read(), column)

    def test_its_words_are_written_before_it_begins(self, page: Client, part: str, column: str) -> None:
        send(page, part, **{f"{column}_message": "Thank you."})
        now = reading.read()
        assert getattr(now, f"{column}_message") == "Thank you." and not getattr(now, column)

    def test_one_button_ends_it(self, page: Client, part: str, column: str) -> None:
        changing.change(actor=None, **{column: True, f"{column}_message": "Thank you."})
        send(page, part, "off")
        now = reading.read()
        assert not getattr(now, column) and getattr(now, f"{column}_message") == "Thank you."

    def test_the_start_page_says_so(self, page: Client, part: str, column: str, mo: User) -> None:
        changing.change(actor=None, **{column: True, "announcement": "We move on Sunday."})
        reading.forget()
        sentence = {"maintenance": "Maintenance is on:", "ended": "The project has ended:"}[column]
        start = page.get("/admin/").text
        assert sentence in start and "We move on Sunday." in start and NOW in start
        assert sentence in signed_in(mo).get("/admin/").text and NOW not in signed_in(mo).get("/admin/").text
        olga = new_person("Olga")
        User.objects.filter(pk=olga.pk).update(duties=[Duty.OPERATOR])
        landing = signed_in(olga).get("/admin/", follow=True).text
        assert "only moderators and administrators" not in start  # Olga enters, too
        assert signed_in(olga).get("/dashboard/").status_code != 503
        assert {"maintenance": ">Maintenance<", "ended": ">Ended<"}[
            column
        ] in landing and "with an announcement" in landing

    def test_changing_back_to_it_takes_a_tick(self, page: Client, part: str, column: str) -> None:
        changing.change(actor=None, **{column: True})
        changing.change(actor=None, **{column: False})
        back = f"{HISTORY}{SiteSettings.objects.latest('pk').pk}/back/"
        assert 'name="sure"' in page.get(back).text
        answer = page.post(back, {"reason": "It goes on."})
        assert answer.status_code == 422 and not getattr(reading.read(), column)
        page.post(back, {"reason": "It goes on.", "sure": "on"})
        assert getattr(reading.read(), column) and SiteSettings.objects.count() == 3


class TestSwitches:
    def test_each_says_what_it_stops_and_off_needs_a_reason(self, page: Client) -> None:
        text = page.get(NOW).text
        assert text.count("Off: ") == 5
        initial = {f"initial-{name}": "True" for name in ("sign_up", "chat")}
        answer = send(page, "switches", **initial, sign_up="on")
        assert answer.status_code == 422 and "Say why" in answer.text and not SiteSettings.objects.exists()
        send(page, "switches", **initial, sign_up="on", reason="The card is full.")
        now = reading.read()
        assert now.sign_up and not now.chat
        assert "Switched off: Chat" in page.get(NOW).text


class TestHistory:
    def test_it_says_what_changed_from_what_to_what_by_whom_and_why(self, page: Client, ida: User) -> None:
        changing.change(actor=ida, announcement="First.", reason="One.")
        changing.change(actor=ida, announcement="Second.", chat=False, reason="Two.")
        for url in (NOW, HISTORY, f"{HISTORY}{SiteSettings.objects.latest('pk').pk}/change/"):
            text = page.get(url).text
            assert "<bdi>First.</bdi> → <bdi>Second.</bdi>" in text, url
            assert "Chat: <bdi>on</bdi> → <bdi>off</bdi>" in text and "Two." in text and "Ida" in text, url
        assert "<bdi>nothing</bdi> → <bdi>First.</bdi>" in page.get(HISTORY).text

    def test_change_back(self, page: Client, ida: User) -> None:
        changing.change(actor=ida, announcement="First.", reason="One.")
        back = f"{HISTORY}{SiteSettings.objects.get().pk}/back/"
        assert "<bdi>First.</bdi> → <bdi>nothing</bdi>" in page.get(back).text
        text = page.post(back, {"reason": "Too early."}, follow=True).text
        assert "Changed: Announcement." in text and not reading.read().announcement
        assert SiteSettings.objects.count() == 2
        assert "Everything is already as it was" in page.get(back).text

    def test_others(self, mo: User) -> None:
        changing.change(actor=None, chat=False)
        row = SiteSettings.objects.get()
        audrey = new_person("Audrey")
        User.objects.filter(pk=audrey.pk).update(duties=[Duty.AUDITOR])
        auditor = signed_in(audrey)
        text = auditor.get(NOW).text
        assert "Switched off: Chat" in text and "Change back" not in text and '<form class="desk-part"' not in text
        assert "Change back" not in auditor.get(HISTORY).text
        for client in (auditor, signed_in(mo)):
            assert client.post(NOW, {"part": "switches", "chat": "on", "reason": "Mine."}).status_code == 403
            assert client.post(f"{HISTORY}{row.pk}/back/", {"reason": "Mine."}).status_code == 403
        assert signed_in(mo).get(NOW).status_code == 403
        assert SiteSettings.objects.count() == 1

    def test_odd_forms_change_nothing(self, page: Client) -> None:
        for given in ({"part": "x"}, {}, {"part": "switches", "step": "off"}, {"part": "end", "step": "x"}):
            assert page.post(NOW, given).status_code in (200, 302), given
        assert not SiteSettings.objects.exists()
