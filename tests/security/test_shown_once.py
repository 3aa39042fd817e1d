"""Keys are shown once, on the page after the form, and never in the URL or in a cookie, so loading the page again
creates no second one.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.messages.storage.cookie import CookieStorage
from django.test import Client, RequestFactory
from django.urls import reverse

from oasst.accounts import api_clients
from oasst.accounts.models import ApiKey, Token, User
from oasst.core.models import AuditText
from tests.factories import new_person
from trees.models import Webhook
from trees.outbox import webhooks

pytestmark = pytest.mark.django_db


def browser_of(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def token(client: Client) -> Any:
    return client.post("/me/tokens/", {"name": "laptop", "days": "30"})


def key(client: Client) -> Any:
    program = api_clients.create_api_client(name="web")[0]
    chosen = {"action": "new_key", "reason": "Another.", "_selected_action": [str(program.pk)]}
    return client.post("/admin/accounts/apiclient/", chosen)


def key_from_its_page(client: Client) -> Any:
    program = api_clients.create_api_client(name="web")[0]
    chosen = {"action": "new_key", "reason": "Another.", "_selected_action": str(program.pk), "_from_details": "1"}
    return client.post("/admin/accounts/apiclient/", chosen)


def new_client(client: Client) -> Any:
    return client.post("/admin/accounts/apiclient/add/", {"name": "web", "reason": "For the forum."})


def rotated(client: Client) -> Any:
    program = api_clients.create_api_client(name="web")[0]
    return client.post(f"/admin/accounts/apiclient/{program.pk}/rotate/", {"ends": "week", "reason": "Yearly."})


def webhook(client: Client) -> Any:
    program = api_clients.create_api_client(name="web", trusted=True)[0]
    given = {"api_client": str(program.pk), "url": "https://example.org/", "events": []}
    return client.post("/admin/trees/webhook/add/", given)


def secret_of_webhook(client: Client) -> Any:
    program = api_clients.create_api_client(name="web", trusted=True)[0]
    hook = Webhook.objects.create(api_client=program, url="https://example.org/", events=[])
    chosen = {"action": "renew_secret", "reason": "It leaked.", "_selected_action": [str(hook.pk)]}
    return client.post("/admin/trees/webhook/", chosen)


def secret_in(page: str) -> str:
    """Return what a page shows as a secret; empty if it shows none."""
    found = re.search(r"told only now: ([^\s<]+)|class=\"visible-code__token\"[^>]*>([^<]+)<", page)
    return (found[1] or found[2]) if found else ""


def is_the_secret_of(told: str) -> bool:
    """Of the newest one."""
    if hook := Webhook.objects.last():
        return told == webhooks.secret_of(hook)
    made: Any = Token.objects.last() or ApiKey.objects.order_by("pk").last()
    return bool(made.digest == made.digest_of(told))


@pytest.mark.parametrize("make", [token, key, key_from_its_page, new_client, rotated, webhook, secret_of_webhook])
def test_told_once_to_this_browser_alone(make: Callable[[Client], Any]) -> None:
    person = new_person("Ada", role="admin")
    client, other = browser_of(person), browser_of(person)
    answer = make(client)
    assert answer.status_code == 302, "a page as the answer would make another one when it is loaded again"
    count = [model.objects.count() for model in (Token, ApiKey, Webhook)]
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    assert secret_in(other.get(answer["Location"]).text) == ""
    told = secret_in(client.get(answer["Location"]).text)
    assert is_the_secret_of(told)
    assert told not in answer["Location"] and told not in str(cookies) and told not in "".join(in_messages(cookies))
    for again in (client.get(answer["Location"]), client.get("/me/tokens/"), client.get("/admin/")):
        assert told not in again.text
    assert told not in str(dict(client.session))
    assert not [words for words in AuditText.objects.all() if told in f"{words.reason}{words.before}{words.after}"]
    assert [model.objects.count() for model in (Token, ApiKey, Webhook)] == count


def in_messages(cookies: dict[str, str]) -> list[str]:
    """Return the contents of the cookie, which is packed and signed, but not encrypted."""
    request = RequestFactory().get("/")
    request.COOKIES = cookies
    found, _ = CookieStorage(request)._get()
    return [str(one) for one in found or []]


def test_two_sent_at_once_are_both_told() -> None:
    """A double click makes two, and both are shown."""
    client = browser_of(new_person("Ada"))
    token(client), token(client)
    told = re.findall(r"visible-code__token\"[^>]*>([^<]+)<", client.get("/me/tokens/").text)
    assert {Token.digest_of(one) for one in told} == set(Token.objects.values_list("digest", flat=True))
    assert len(told) == 2


def test_no_page_is_the_answer_to_an_act_of_the_admin() -> None:
    """The actions of each list redirect to a URL, even if nothing was done."""
    client = browser_of(new_person("Ada", role="admin"))
    program = api_clients.create_api_client(name="web")[0]
    hook = Webhook.objects.create(api_client=program, url="https://example.org/", events=[])
    rows = {"accounts_apiclient": program, "accounts_apikey": program.keys.get(), "trees_webhook": hook}
    for name, row in rows.items():
        for action in admin.site._registry[type(row)].actions:
            chosen = {"action": action, "reason": "", "_selected_action": [str(row.pk)]}
            assert client.post(reverse(f"admin:{name}_changelist"), chosen).status_code == 302, action
