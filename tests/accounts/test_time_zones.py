"""Pages and mails show times in the zone of their reader; the APIs use UTC."""

import re
from datetime import UTC, datetime

import pytest
from allauth.account.adapter import get_adapter
from allauth.core import context as allauth_context
from django.core import mail
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone, translation

from oasst.accounts import time_zones
from oasst.accounts.models import User
from tests.factories import new_prompt
from tests.paths import ROOT
from trees.models import Message

pytestmark = pytest.mark.django_db
AT = datetime(2026, 7, 1, 21, 30, tzinfo=UTC)  # 06:30 on the next day in Tokyo


@pytest.fixture
def prompt(alice: User) -> Message:
    User.objects.filter(pk=alice.pk).update(time_zone="Asia/Tokyo")
    found = new_prompt(alice)
    Message.objects.update(created_at=AT)
    return found


def seen_by(person: User, url: str) -> str:
    client = Client()
    client.force_login(person)
    return client.get(url).content.decode()


def test_a_page_is_in_the_zone_of_whoever_looks(prompt: Message, alice: User, bob: User) -> None:
    address = reverse("tree", args=[prompt.pk])
    page = seen_by(alice, address)
    assert "July 2, 2026, 6:30 a.m." in page and 'datetime="2026-07-02T06:30:00+09:00"' in page
    assert 'data-time-zone="Asia/Tokyo"' in page
    assert "9:30 p.m." not in page
    moderator = User.objects.get(pk=bob.pk)
    User.objects.filter(pk=bob.pk).update(role="moderator")
    assert "July 1, 2026, 9:30 p.m." in seen_by(moderator, address)


def test_the_admin_is_too(prompt: Message, mo: User) -> None:
    User.objects.filter(pk=mo.pk).update(time_zone="America/New_York")
    page = seen_by(mo, reverse("admin:trees_message_change", args=[prompt.pk]))
    assert "5:30 p.m." in page
    assert "21:30" not in page and "9:30 p.m." not in page


def test_the_next_request_of_the_thread_is_nobodys(prompt: Message, alice: User) -> None:
    seen_by(alice, reverse("dashboard"))
    assert timezone.get_current_timezone_name() == "UTC"


def test_programs_get_utc_whoever_is_signed_in(prompt: Message, alice: User, client: Client) -> None:
    client.force_login(alice)
    client.get("/api/v1/messages/")
    assert timezone.get_current_timezone_name() == "UTC"


def test_a_zone_that_the_machine_does_not_know(prompt: Message, alice: User) -> None:
    alice.time_zone = "Mars/Olympus"
    assert time_zones.user_zone(alice).key == "UTC"


def test_a_mail_about_an_account_is_in_the_zone_of_its_owner(alice: User, rf: RequestFactory) -> None:
    alice.time_zone = "Asia/Tokyo"
    with allauth_context.request_context(rf.post("/")), timezone.override("America/New_York"):
        adapter = get_adapter(allauth_context.request)
        adapter.send_notification_mail("account/email/account_closed", alice, {"timestamp": AT})
    assert "July 2, 2026, 6:30 a.m. JST" in mail.outbox[-1].body


def test_no_page_names_a_zone_of_its_own() -> None:
    """Templates do not write "UTC" beside a time, and scripts use the zone that the page names."""
    templates = [path for path in (ROOT / "templates").rglob("*") if path.suffix in (".html", ".txt")]
    assert [str(path) for path in templates if re.search(r"date:\"[^\"]*\" *}} *UTC", path.read_text())] == []
    for script in (ROOT / "static/js").glob("*.js"):
        for found in re.finditer(r"new Intl\.DateTimeFormat\(.*?\);", script.read_text(), re.DOTALL):
            assert "timeZone: document.body.dataset.timeZone" in found[0], script.name


def test_dates_follow_the_language_of_the_page(prompt: Message, alice: User) -> None:
    with translation.override("de"):
        assert "2. Juli 2026 06:30" in seen_by(alice, reverse("tree", args=[prompt.pk]))


def test_no_page_has_a_date_format_of_its_own() -> None:
    """Formats come from the language; `c` and `e` are for machines and the zone. The admin is in English."""
    allowed = r'(?:c|e|U|DATE_FORMAT|TIME_FORMAT|DATETIME_FORMAT)"'
    files = [file for file in (ROOT / "templates").rglob("*.*") if "admin" not in file.parts]
    assert [file.name for file in files if re.search(rf'\|(?:date|time):"(?!{allowed})', file.read_text())] == []
