"""Reading and changing the site settings: cheap, everywhere within seconds, with a history."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.test import Client
from django.utils import timezone

from oasst.accounts.models import SiteSettings, User
from oasst.accounts.site_settings import changing, reading
from oasst.accounts.site_settings.reading import CurrentSettings, current
from oasst.core.errors import Invalid, NotAllowed, NotFound
from tests.factories import new_person
from tests.tasks.test_pages import signed_in

pytestmark = pytest.mark.django_db


class TestReading:
    def test_without_a_row_the_defaults_are_in_force(self) -> None:
        reading.forget()
        assert current() == CurrentSettings()

    def test_a_process_asks_redis_and_redis_is_asked_for_ten_seconds(self, django_assert_num_queries: Any) -> None:
        changing.change(actor=None, announcement="Hello", announcement_until=timezone.now() + timedelta(days=1))
        reading.forget()
        with django_assert_num_queries(1):
            first = current()
        with django_assert_num_queries(0):
            assert current() is first
            reading.remember(first, seconds=-1)  # what the process knows is too old
            assert current() == first
        assert first.announcement == "Hello"

    def test_without_redis_the_database_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        changing.change(actor=None, maintenance=True)
        monkeypatch.setattr(cache, "get", lambda key: None)
        monkeypatch.setattr(cache, "set", lambda *args: None)
        reading.remember(CurrentSettings(), seconds=-1)
        assert current().maintenance

    @pytest.mark.parametrize("value", ["x", {"maintenance": True}, {**vars(CurrentSettings()), "maintenance_until": 7}])
    def test_what_another_release_cached_is_ignored(self, value: Any) -> None:
        cache.set("site_settings", value, 60)
        reading.remember(CurrentSettings(chat=False), seconds=-1)
        assert current() == CurrentSettings()

    @pytest.mark.django_db(transaction=True)
    def test_a_change_is_in_force_after_its_commit_and_not_before(self) -> None:
        with transaction.atomic():
            changing.change(actor=None, ended=True)
            assert not current().ended
        assert current().ended


class TestChanging:
    def test_a_change_keeps_the_rest_and_the_history(self, people: Any) -> None:
        admin = people("Ida", role="admin")
        assert changing.change(actor=admin, announcement=" Hello ", reason="a move") == ["announcement"]
        assert changing.change(actor=None, chat=False, announcement="Hello") == ["chat"]
        assert changing.change(actor=None, chat=False) == []
        assert (reading.read().announcement, reading.read().chat) == ("Hello", False)
        rows = SiteSettings.objects.order_by("pk").values_list("announcement", "chat", "reason", "changed_by")
        assert list(rows) == [("Hello", True, "a move", admin.pk), ("Hello", False, "", None)]

    def test_what_takes_something_away_needs_a_reason(self, people: Any) -> None:
        admin = people("Ida", role="admin")
        for name, value in changing.TAKES_AWAY.items():
            with pytest.raises(Invalid, match="Say why"):
                changing.change(actor=admin, reason=" ", **{name: value})
        assert not SiteSettings.objects.exists()
        changing.change(actor=admin, chat=False, reason="The card is full.")
        assert changing.change(actor=admin, chat=True) == ["chat"], "giving it back needs none"
        assert changing.change(actor=None, maintenance=True) == ["maintenance"], "nor does the operator's command"

    def test_a_change_is_taken_back_and_later_ones_stay(self, people: Any) -> None:
        admin = people("Ida", role="admin")
        changing.change(actor=admin, announcement="We move.", chat=False, reason="A move.")
        row = SiteSettings.objects.get()
        changing.change(actor=admin, sign_up=False, reason="Robots.")
        changed = changing.change_back(row.pk, actor=admin, reason="It is over.")
        now = reading.read()
        assert changed == ["announcement", "chat"]
        assert (now.announcement, now.chat, now.sign_up) == ("", True, False)
        assert changing.change_back(row.pk, actor=admin, reason="Again.") == []
        with pytest.raises(NotFound):
            changing.change_back(0, actor=admin, reason="None.")
        assert SiteSettings.objects.count() == 3

    def test_taking_back_needs_the_right_and_a_reason_as_well(self, people: Any, mo: User) -> None:
        changing.change(actor=None, chat=False)
        changing.change(actor=None, chat=True)
        back_on = SiteSettings.objects.latest("pk")
        with pytest.raises(NotAllowed):
            changing.change_back(back_on.pk, actor=mo, reason="Mine.")
        with pytest.raises(Invalid, match="Say why"):
            changing.change_back(back_on.pk, actor=people("Ida", role="admin"), reason="")
        assert SiteSettings.objects.count() == 2 and reading.read().chat

    def test_only_administrators(self, mo: User) -> None:
        with pytest.raises(NotAllowed):
            changing.change(actor=mo, maintenance=True)
        assert not SiteSettings.objects.exists()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("announcement", "x" * 501),
            ("announcement", "a\0b"),
            ("announcement_url", "javascript:alert(1)"),
            ("announcement_url", "//evil.example/"),
            ("announcement_url", "/\\evil.example"),
            ("announcement_url", "https://"),
            ("colour", "red"),
        ],
    )
    def test_refused(self, name: str, value: str) -> None:
        with pytest.raises(Invalid):
            changing.change(actor=None, **{name: value})
        assert not SiteSettings.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_two_changes_at_once_keep_both(self) -> None:
        def change(**changes: Any) -> None:
            changing.change(actor=None, **changes)
            connections.close_all()

        both = [threading.Thread(target=change, kwargs=one) for one in ({"chat": False}, {"sign_up": False})]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join(60)
        assert (reading.read().chat, reading.read().sign_up) == (False, False)


class TestCommands:
    def test_maintenance(self, capsys: Any) -> None:
        call_command("maintenance", "on", "--message", "We move.", "--minutes", "30")
        now = reading.read()
        assert now.maintenance and now.maintenance_message == "We move."
        assert now.maintenance_until and now.maintenance_until > timezone.now() + timedelta(minutes=29)
        call_command("maintenance", "off")
        call_command("maintenance", "status")
        assert capsys.readouterr().out.splitlines() == [
            "Maintenance is on.",
            "Maintenance is off.",
            "Maintenance is off.",
        ]

    def test_settings(self, capsys: Any) -> None:
        call_command("site_settings", "sign_up=off", "announcement_until=2027-01-03T08:00Z", "--reason", "robots")
        out = capsys.readouterr().out
        assert "sign_up=off\n" in out and "announcement_until=2027-01-03T08:00:00+00:00\n" in out
        assert SiteSettings.objects.get().reason == "robots"

    @pytest.mark.parametrize("change", ["colour=red", "chat", "chat=maybe", "announcement_until=soon"])
    def test_refused(self, change: str) -> None:
        with pytest.raises(CommandError):
            call_command("site_settings", change)
        assert not SiteSettings.objects.exists()


class TestAnnouncement:
    @pytest.fixture
    def client_(self, alice: User) -> Client:
        changing.change(actor=None, announcement="We move on Sunday.", announcement_url="/about/")
        reading.forget()
        return signed_in(alice)

    def test_it_is_dismissed_without_script_and_comes_back_with_another_text(self, client_: Client) -> None:
        page = client_.get("/statistics/").content.decode()
        assert "We move on Sunday." in page and 'href="/about/"' in page
        mark = current().announcement_mark
        response = client_.post("/announcement/dismiss/", {"mark": mark, "next": "/statistics/"})
        assert (response.status_code, response["Location"]) == (302, "/statistics/")
        assert "We move" not in client_.get("/statistics/").content.decode()
        changing.change(actor=None, announcement="We move on Monday.")
        reading.forget()
        assert "We move on Monday." in client_.get("/statistics/").content.decode()

    def test_its_time_ends_it(self, client_: Client) -> None:
        changing.change(actor=None, announcement_until=timezone.now() - timedelta(seconds=1))
        reading.forget()
        assert "We move" not in client_.get("/statistics/").content.decode()

    def test_visitors_do_not_see_it(self, client_: Client) -> None:
        assert "We move" not in Client().get("/statistics/").content.decode()

    def test_odd_requests_set_no_cookie_and_lead_nowhere_else(self, client_: Client) -> None:
        response = client_.post("/announcement/dismiss/", {"mark": "x; path=/", "next": "https://evil.example/"})
        assert response["Location"] == "/" and "announcement" not in response.cookies
        assert client_.get("/announcement/dismiss/").status_code == 405


def test_people_are_merged_and_removed_all_the_same() -> None:
    """A row of the history survives its author."""
    admin = new_person("Ida", role="admin")
    SiteSettings.objects.create(chat=False, changed_by=admin)
    admin.delete()
    assert SiteSettings.objects.get().changed_by is None
