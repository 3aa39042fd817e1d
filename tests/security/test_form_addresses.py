"""URLs that only accept forms: a GET shows what to do, and signing in leads to a page."""

from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from django.test import Client

from oasst.accounts.models import User
from tests.security.pages import Address, addresses

pytestmark = pytest.mark.django_db
OPEN = {"/announcement/dismiss/"}  # it needs no account
MACHINES = ("healthz", "readyz", "metrics", "static/")


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def pages() -> list[Address]:
    return [one for one in addresses() if one.is_page and not one.template.startswith(("admin/", *MACHINES))]


def path_of(page: Address) -> str:
    return page.filled({name: str(uuid4()) for name in page.parameters})


def form_addresses(client: Client) -> list[str]:
    """Found by requests, so a new one is covered automatically."""
    found = [path for page in pages() if client.get(path := path_of(page)).status_code == 405]
    assert len(found) >= 20
    return found


def test_each_says_so_and_shows_a_way_on(browser: Client) -> None:
    for path in form_addresses(browser):
        answer = browser.get(path, headers={"Referer": "http://testserver/statistics/?x=1"})
        assert answer.status_code == 405 and "POST" in answer["Allow"], path
        assert "This address only takes forms" in answer.text and ">405<" in answer.text, path
        assert 'href="/statistics/?x=1"' in answer.text and "To the dashboard" in answer.text, path


def test_signing_in_leads_back_to_the_page_with_the_form(browser: Client) -> None:
    paths = form_addresses(browser)
    browser.logout()
    for path in set(paths) - OPEN:
        for before, then in (
            ("http://testserver/dashboard/?lang=de", "/dashboard/?lang=de"),
            ("https://evil.example/x", ""),
            ("http://testserver//evil.example/", ""),
            (f"http://testserver{path}", ""),
            ("", ""),
        ):
            answer = browser.post(path, headers={"Referer": before})
            target = urlsplit(answer["Location"])
            (found,) = parse_qs(target.query)["next"]
            assert target.path == "/accounts/login/", (path, before)
            assert found == then or (not then and _is_page(found)), (path, before, found)


def _is_page(address: str) -> bool:
    """If no page is known, the one that contains such a form, or the dashboard."""
    return Client().get(address).status_code == 302


def test_a_page_to_read_says_that_it_takes_nothing(browser: Client) -> None:
    answer = browser.post("/dashboard/")
    assert answer.status_code == 405 and "This address takes no forms" in answer.text
