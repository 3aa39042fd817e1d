"""The account in a browser: languages by chips and by selects, the zone, a proof of work, a link on another device, the
file of one's own data, and an appeal.
"""

import json
import re
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core import mail
from django.core.cache import cache
from playwright.sync_api import Page, expect

from oasst.accounts import account_bans, registration
from oasst.accounts.models import Appeal, User
from tests.browser.driver import sign_in
from tests.factories import new_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
NewVisitor = Callable[..., Page]
PHONE = {"width": 390, "height": 844}


def check_with_axe(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert not found, [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found]


def chips(page: Page) -> list[str]:
    return page.locator(".language-chip__own").all_text_contents()


class TestLanguages:
    def test_by_keyboard_with_chips(self, visitor: NewVisitor) -> None:
        page = visitor(viewport=PHONE)
        sign_in(page, "dora@example.org")
        page.goto("/me/")
        search = page.get_by_role("combobox", name="Add a language")
        for typed in ("deut", "swahili", "عرب"):
            search.press_sequentially(typed)
            expect(search).to_have_attribute("aria-expanded", "true")
            search.press("Enter")
        assert chips(page) == ["Deutsch", "Kiswahili", "العربية"]
        check_with_axe(page)
        page.get_by_role("button", name="Prefer العربية more").press("Enter")
        page.get_by_role("button", name="Prefer العربية more").press("Enter")
        page.get_by_role("button", name="Remove Kiswahili").press("Enter")
        assert chips(page) == ["العربية", "Deutsch"]
        search.press_sequentially("german")
        expect(page.locator(".language-search__note")).to_have_text("No language has this name.")
        search.press("Enter")  # sends nothing
        assert page.url.endswith("/me/")
        page.reload()  # the browser keeps what is not saved
        expect(page.locator(".language-chip__own")).to_have_text(["العربية", "Deutsch"])
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Your profile is saved.")).to_be_visible()
        assert User.objects.get(email="dora@example.org").contribution_languages == ["ar", "de"]
        expect(page.locator(".language-chip__own")).to_have_text(["العربية", "Deutsch"])

    def test_without_script_by_selects(self, visitor: NewVisitor) -> None:
        page = visitor(script=False)
        sign_in(page, "dora@example.org")
        page.get_by_label("Language 1").select_option("uk")
        page.get_by_label("Language 2").select_option("de")
        page.get_by_role("button", name="Save my languages").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Ukrainian")
        page.goto("/me/")
        assert page.get_by_label("Language 2").input_value() == "de"
        page.get_by_role("combobox", name="Time zone").fill("nairobi")
        page.get_by_role("button", name="Save", exact=True).click()
        assert User.objects.get(email="dora@example.org").time_zone == "Africa/Nairobi"

    def test_the_zone_of_the_browser_takes_one_click(self, visitor: NewVisitor) -> None:
        page = visitor()
        sign_in(page, "dora@example.org")
        here = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
        page.goto("/me/")
        expect(page.get_by_test_id("zone-proposal")).to_be_hidden()
        User.objects.update(time_zone="Pacific/Auckland")
        page.goto("/me/")
        page.get_by_test_id("zone-proposal").get_by_role("button").click()
        expect(page.get_by_text("Your time zone is saved.")).to_be_visible()
        assert User.objects.get(email="dora@example.org").time_zone == here


class TestSigningIn:
    @pytest.fixture(autouse=True)
    def _always(self, settings: Any) -> None:
        settings.SIGN_IN_PROOF = "always"
        cache.clear()

    def link(self) -> str:
        found = re.search(r"http\S+(/accounts/login/link/\S+)", str(mail.outbox[-1].body))
        assert found
        return found[1]

    def test_a_proof_then_the_link_on_another_device(self, visitor: NewVisitor) -> None:
        page = visitor()
        page.goto("/accounts/login/")
        check_with_axe(page)
        page.get_by_test_id("email-address").fill("dora@example.org")
        page.get_by_test_id("signin-email-button").click()  # waits for the calculation if that is not done
        page.wait_for_url(re.compile("/confirm/"))
        phone = visitor(viewport=PHONE, dark=True)
        phone.goto(self.link())
        expect(phone.get_by_test_id("other-browser")).to_be_visible()
        check_with_axe(phone)
        phone.get_by_test_id("use-link").click()
        phone.wait_for_url(re.compile("/terms/accept/|/dashboard/"))
        assert User.objects.filter(email="dora@example.org").exists()

    def test_without_script_it_says_how_long_to_wait(self, visitor: NewVisitor) -> None:
        page = visitor(script=False)
        page.goto("/accounts/login/")
        page.get_by_test_id("email-address").fill("dora@example.org")
        page.get_by_test_id("signin-email-button").click()
        expect(page.get_by_text(re.compile(r"Please wait \d+ seconds"))).to_be_visible()
        assert page.get_by_test_id("email-address").input_value() == "dora@example.org" and not mail.outbox


def test_a_suspended_person_takes_the_data_along_and_appeals(visitor: NewVisitor) -> None:
    page = visitor(viewport=PHONE)
    sign_in(page, "dora@example.org")
    dora = registration.get_or_create_by_email("dora@example.org")
    account_bans.ban(dora, actor=new_person("Mo", "moderator"), reason="Copied a novel.")
    page.goto("/dashboard/")
    page.get_by_role("textbox").fill("Those words were mine.")
    check_with_axe(page)
    page.get_by_role("button", name="Send the appeal").click()
    expect(page.get_by_test_id("appeal")).to_contain_text("Waiting for an answer")
    assert Appeal.objects.get(user=dora).text == "Those words were mine."
    page.get_by_role("link", name="Download everything you gave").click()
    check_with_axe(page)
    with page.expect_download() as waiting:
        page.get_by_test_id("own-data").click()
    with zipfile.ZipFile(waiting.value.path()) as file:
        assert json.loads(file.read("profile.json"))["email"] == "dora@example.org"
        assert json.loads(file.read("appeals.json"))[0]["text"] == "Those words were mine."
