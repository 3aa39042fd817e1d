"""OPTIONS at every URL: it has no effect, and allows only the sites of the settings."""

import re
from typing import Any

import pytest
from django.db import connection

from oasst.core.http.api_paths import DATA, is_chat_path
from oasst.site.api_urls import OPERATIONS
from tests.security.roles import Address, World, addresses, new_world, path_of, record_writes, rolled_back

CHATS, READS, STRANGER = "https://chat.example.org", "https://stats.example.org", "https://elsewhere.example.org"
ASKED = [(CHATS, "POST"), (READS, "GET"), (READS, "POST"), (STRANGER, "GET"), (STRANGER, "")]
"""The site of a page, and what its script wants to send; nothing for a plain OPTIONS."""
ROLES = ("anonymous", "owner")
READ_BY_GET = {f"{DATA}{one.path}" for one in OPERATIONS if one.method == "GET"}


@pytest.fixture
def world(db: None, settings: Any) -> World:
    settings.RATE_LIMITS = False
    settings.OASST_CHAT_MODEL = "tiny"
    settings.CHAT_CORS_ORIGINS, settings.CORS_ORIGINS = [CHATS], [READS]
    return new_world()


def is_let_in(route: str, origin: str, method: str) -> bool:
    if origin == CHATS:
        return is_chat_path(route)
    return origin == READS and method == "GET" and route in READ_BY_GET


def path_with(address: Address, world: World) -> str:
    if not address.route.startswith(DATA):
        return path_of(address, world)
    return f"/{re.sub('<[^>]+>', str(world.ids['message_id']), address.route)}"


def ask(client: Any, path: str, origin: str, method: str) -> tuple[Any, list[str]]:
    """Return the response, and the rows that it wrote."""
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    if method:
        headers |= {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}
    written: list[str] = []
    with rolled_back(), connection.execute_wrapper(record_writes(written)):
        return client.options(path, headers=headers), written


@pytest.mark.parametrize("role", ROLES)
def test_at_every_address(world: World, role: str) -> None:
    wrong = []
    for address in addresses():
        if address.route.startswith("admin/"):
            continue  # rows of many models, none of which depend on other sites
        for origin, method in ASKED:
            told, written = ask(world.clients[role], path_with(address, world), origin, method)
            is_open = "Access-Control-Allow-Origin" in told
            wanted = is_let_in(address.route, origin, method)
            if is_open is not wanted or written or told.status_code >= 500 or (wanted and told.status_code != 204):
                wrong.append((address.route, origin, method, told.status_code, is_open, written))
            if "Access-Control-Allow-Credentials" in told:
                wrong.append((address.route, origin, method, "lets cookies in"))
    assert wrong == []
