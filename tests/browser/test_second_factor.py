"""A security key in Chromium, under our page policy: added, and asked for at sign-in and again. Also screenshots."""

import re
from collections.abc import Callable

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import Page, expect

from oasst.accounts.models import User
from tests.accounts.authentication.test_second_factor import give_app
from tests.browser.conftest import DESK, PHONE, NewVisitor
from tests.factories import PASSWORD

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def come_in(page: Page, person: User) -> None:
    page.goto("/accounts/login/")
    page.get_by_text("I have a password").click()
    page.locator("#id_login").fill(str(person.email))
    page.locator("#id_password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(re.compile("/dashboard/|/2fa/"))


def plug_in_a_key(page: Page) -> None:
    """A security key that confirms every request, as if a finger always touched it."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "hasUserVerification": True, "isUserVerified": True}
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": {**options, "automaticPresenceSimulation": True}})


class TestSecurityKey:
    def test_added_asked_for_and_proved_once_more(self, visitor: NewVisitor, alice: User) -> None:
        page = visitor()
        broken: list[str] = []
        page.on("console", lambda said: broken.append(said.text) if said.type == "error" else None)
        plug_in_a_key(page)
        come_in(page, alice)
        page.goto("/accounts/2fa/")
        page.get_by_role("link", name="Add a key").click()
        page.get_by_label("Name").fill("Blue stick")
        expect(page.get_by_role("button", name="Add it")).to_be_visible()  # its script has run
        page.get_by_label("Name").press("Enter")
        page.wait_for_url(re.compile("/2fa/recovery-codes/"))
        assert str(Authenticator.objects.get(type="webauthn")) == "Blue stick"
        page.context.clear_cookies()
        come_in(page, alice)
        page.get_by_role("button", name="Use a security key").click()
        page.wait_for_url(re.compile("/dashboard/"))
        page.goto("/accounts/2fa/webauthn/reauthenticate/?next=/me/tokens/")
        page.get_by_role("button", name="Use a security key").click()
        page.wait_for_url(re.compile("/me/tokens/"))
        assert broken == []


@pytest.mark.parametrize(("viewport", "dark"), [(PHONE, False), (DESK, True)], ids=["phone", "desk-dark"])
def test_pages_fit(
    visitor: NewVisitor, keep: Callable[[Page, str], None], alice: User, viewport: dict[str, int], dark: bool
) -> None:
    """Nothing is cut off or scrolls sideways, without script."""
    page = visitor(script=False, viewport=viewport, dark=dark)
    come_in(page, alice)
    urls = ["/accounts/2fa/", "/accounts/2fa/totp/activate/", "/me/sessions/", "/accounts/reauthenticate/"]
    urls += ["/me/sign-in-again/", "/accounts/2fa/recovery-codes/", "/accounts/2fa/reauthenticate/"]
    for number, url in enumerate(urls):
        if number == 5:
            give_app(alice)
        page.goto(url)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        name = url.strip("/").replace("/", "-")
        keep(page, f"signin-{name}-{viewport['width']}{'-dark' if dark else ''}")
        wide = page.locator("html").evaluate("(html) => html.scrollWidth - html.clientWidth") if not dark else 0
        assert wide <= 0, url
