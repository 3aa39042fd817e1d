"""Any path and query gets a page or a refusal, never a crash.

The URLs come from the URL table, the parameters from what views read, the filters from the admin's registry, so new
pages are covered automatically. `FUZZ=10000 scripts/test tests/security/test_query_fuzz.py` sends that many requests
per role instead of a few.
"""

import os
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.contrib import admin
from django.db.models import Field
from django.test import Client

from inference.api_urls import OPERATIONS as CHAT_OPERATIONS
from oasst.accounts.models import User
from oasst.accounts.tokens import new_token
from tests.factories import growing_tree, new_person
from tests.inference.talking import new_chat
from tests.security.pages import READ_PARAMETERS, Address, addresses

pytestmark = [pytest.mark.slow]
REQUESTS = int(os.environ.get("FUZZ", "50"))
"""Maximum per role and kind of URL."""

# As they appear in a URL.
ODD = (
    *("", "%00", "a%00b", "%ff", "%ed%a0%80", "%C0%AF", "%EF%BF%BF", "%E2%80%AE", "%F0%9F%99%82", "%25", "%"),
    *("1" + "0" * 400, "1" + "0" * 5000, "-1", "0", "1e999", "NaN", "Infinity", "1.5", "9223372036854775808"),
    *(
        "99999999999",
        "20000",
        "0000-00-00",
        "20000-01-01",
        "0001-01-01",
        "9999-12-31",
        "9999-12-31T23:59:59-23:59",
        "24:61",
    ),
    *("24:61", "2026-02-30T10:00:00Z", "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59~" + "0" * 32),
    *("a" * 8000, "null", "[]", "%5B1,2", "%7B%22a%22:%7B%7D%7D", "true", "'%3B--", "%5C", "(((", "%5B", "a,b", ","),
    *(
        "00000000-0000-0000-0000-000000000000",
        "..%2F..",
        "%0d%0aX-Evil:%201",
        "__",
        "http://[::1",
        "999.-1",
        "1.1.1.-1",
        "-",
    ),
)
LOOKUPS = (
    *("exact", "iexact", "gt", "lte", "in", "range", "isnull", "contains", "regex", "iregex", "startswith", "search"),
    *("date", "date__lt", "year", "year__gte", "iso_year", "month", "week_day", "quarter", "time", "hour", "second"),
    *("trigram_similar", "unaccent", "has_key", "contained_by", "overlap", "len", "0", "_", "pk", "id__id", "password"),
)
ROLES = ("nobody", "contributor", "moderator", "administrator")


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    settings.RATE_LIMITS = False
    settings.MIDDLEWARE = ["tests.security.pages.note_parameters", *settings.MIDDLEWARE]
    settings.OASST_CHAT_MODEL = "tiny"


def somebody(role: str) -> tuple[Client, dict[str, str]]:
    """A browser of a user in that role, and the path parameters of their pages."""
    client = Client(raise_request_exception=False)
    name = {"contributor": "general", "nobody": "general", "administrator": "admin"}.get(role, role)
    person = new_person("Fay", role=name)
    if role != "nobody":
        client.force_login(person)
    message = growing_tree(person)
    return client, {
        "message_id": str(message.pk),
        "chat_id": str(new_chat(person).pk),
        "person_id": str(person.pk),
        "object_id": str(message.pk),
        "app_label": "trees",
        "name": "messages",
        "page": "dashboard",
        "content_type_id": "1",
        "key": "a-key",
        "uidb36": "1",
        "url": "nothing",
    }


def check(client: Client, urls: list[str]) -> None:
    """Request each, then report which of them crashed."""
    crashed = []
    for url in urls:
        response = client.get(url)
        if response.streaming:
            response.close()
        if response.status_code >= 500:
            crashed.append(f"{response.status_code} {url[:150]}")
    assert not crashed, "\n".join(crashed)


def some(urls: list[str]) -> list[str]:
    return random.Random(8).sample(urls, REQUESTS) if len(urls) > REQUESTS else urls


def odd_paths(values: dict[str, str]) -> Iterator[str]:
    for one in addresses():
        for name in one.parameters:
            for odd in ODD:
                yield one.filled({**dict.fromkeys(one.parameters, str(uuid4())), **values, name: odd})


def queries_of(client: Client, address: Address, values: dict[str, str]) -> Iterator[str]:
    """The parameters that the page reads, each with an odd value."""
    url = address.filled({**dict.fromkeys(address.parameters, str(uuid4())), **values})
    READ_PARAMETERS.clear()
    client.get(url)
    for name in sorted(READ_PARAMETERS):
        for odd in ODD:
            yield f"{url}?{quote(name)}={odd}"
        yield f"{url}?{quote(name)}=1&{quote(name)}=%00&{quote(name)}={'9' * 30}"


def admin_queries() -> Iterator[str]:
    """Each kind of look-up on each field of each list."""
    for model, model_admin in admin.site._registry.items():
        url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        fields = [one for one in model._meta.get_fields() if isinstance(one, Field)]
        filters = [
            one if isinstance(one, str) else getattr(one, "parameter_name", "") for one in model_admin.list_filter
        ]
        for name in {*(one.name for one in fields), *filters, "pk", "nothing"}:
            for lookup in ("", *LOOKUPS):
                for odd in ODD:
                    yield f"{url}?{name}{'__' + lookup if lookup else ''}={odd}"
        for name in ("q", "o", "p", "all", "e", "_facets", "_popup", "_to_field", "_changelist_filters"):
            for odd in ODD:
                yield f"{url}?{name}={odd}"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", ROLES)
def test_pages(role: str) -> None:
    client, values = somebody(role)
    is_staff = role in ("moderator", "administrator")
    asked = [one for one in addresses() if one.is_page and one.template.startswith("admin/") == is_staff]
    urls = [url for one in asked for url in queries_of(client, one, values)]
    assert len(urls) > 300
    check(client, some(urls))


@pytest.mark.django_db(transaction=True)
def test_programs_of_the_chat() -> None:
    """Everything below /inference/ and /v1/, with a user's token. For /api/v1/ see tests/wire/test_odd_input.py."""
    client, values = somebody("contributor")
    person = User.objects.get(pk=values["person_id"])
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {new_token(person, 'fuzz')[1]}"
    asked = [one for one in addresses() if one.template.startswith(("inference/", "v1/"))]
    names = sorted({name for one in CHAT_OPERATIONS if one.query for name in one.query().fields})
    whole = [one.filled({**dict.fromkeys(one.parameters, str(uuid4())), **values}) for one in asked]
    urls = [f"{url}?{name}={odd}" for url in whole for name in names for odd in ODD]
    odd = [url for url in odd_paths(values) if url.startswith(("/inference/", "/v1/"))]
    assert len(urls) > 100 and len(odd) > 100
    check(client, some(urls) + some(odd))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", ["contributor", "administrator"])
def test_paths(role: str) -> None:
    client, values = somebody(role)
    check(client, some(list(odd_paths(values))))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", ["moderator", "administrator"])
def test_lists_of_the_admin(role: str) -> None:
    client, _ = somebody(role)
    check(client, some(list(admin_queries())))


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["password__startswith=md5", "email__contains=a", "created_at__year=20000"])
def test_a_list_is_looked_through_by_its_filters_only(mo: User, query: str) -> None:
    """Otherwise a moderator could read the hash of a password letter by letter."""
    client = Client()
    client.force_login(mo)
    assert client.get(f"/admin/accounts/user/?{query}")["Location"] == "/admin/accounts/user/?e=1"
    assert client.get("/admin/accounts/user/?role__exact=general").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["/me/points/?older={}", "/me/contributions/?older={}~" + "0" * 32])
@pytest.mark.parametrize(
    "moment",
    [
        *("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00%2B23:59", "0001-01-01T00:00:00Z", "2026-02-30T10:00:00Z"),
        *("2026-01-01T25:00:00Z", "2026-01-01T10:00:00%2B99:00", "2026-01-01"),
    ],
)
def test_moments_beyond_the_calendar(page: str, moment: str, alice: User) -> None:
    """Parsing accepts them, and only the database fails."""
    client = Client()
    client.force_login(alice)
    assert client.get(page.format(moment)).status_code == 400


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["/?x=%00", "/dashboard/?lang=a%00", "/%00/", "/messages/%00/"])
def test_nul_is_garbled(client: Client, url: str) -> None:
    response = client.get(url)
    assert response.status_code == 400 and "garbled" in response.text
    assert "Check the address" in response.text and "named above" not in response.text
