"""Sign in through another service, which runs on this machine. The browser enforces our page policy."""

import re
from collections.abc import Callable, Iterator

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from playwright.sync_api import Page, expect

from oasst.accounts.models import User
from tests.accounts.authentication.other_service import OtherService, other_service
from tests.browser.conftest import DESK, PHONE, NewVisitor
from tests.browser.driver import sign_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

Keep = Callable[[Page, str], None]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtherService]:
    with other_service(monkeypatch.setattr) as service:
        yield service


def leave(page: Page, name: str) -> None:
    page.get_by_role("link", name=f"Continue with {name}").click()
    page.get_by_role("button", name=f"Go to {name}").click()
    expect(page.get_by_role("heading", name="Consent")).to_be_visible()


class TestTheWholeWay:
    @pytest.mark.parametrize("name", ["Google", "Discord", "GitHub"])
    def test_from_the_button_to_signed_in(
        self, visitor: NewVisitor, keep: Keep, service: OtherService, name: str
    ) -> None:
        page = visitor(dark=name == "Google", viewport=PHONE if name == "GitHub" else DESK)
        page.goto("/accounts/login/")
        keep(page, f"signin-door-{name.lower()}")
        leave(page, name)
        assert page.url.startswith(service.url)
        page.get_by_role("link", name="Allow").click()
        page.wait_for_url(re.compile("/terms/accept/"))
        dora = User.objects.get()
        assert (dora.display_name.lower(), dora.email) == ("dora", "dora@example.org")
        assert EmailAddress.objects.get(user=dora).verified

    def test_linked_to_an_account_that_is_there(self, visitor: NewVisitor, service: OtherService) -> None:
        page = visitor()
        sign_in(page, "ada@example.org")
        page.goto("/accounts/3rdparty/")
        leave(page, "GitHub")
        page.get_by_role("link", name="Allow").click()
        expect(page.get_by_text("Linked. You can come in that way from now on.")).to_be_visible()
        assert SocialAccount.objects.get().user.email == "ada@example.org"

    def test_who_refuses_reads_what_to_do(self, visitor: NewVisitor, service: OtherService) -> None:
        page = visitor(script=False)
        page.goto("/accounts/login/")
        leave(page, "Discord")
        page.get_by_role("link", name="Refuse").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("You turned back")
        page.get_by_role("link", name="Back to sign-in").click()
        expect(page.get_by_label("E-mail address")).to_be_visible()
        assert not User.objects.exists()
