"""Handwritten SQL on users and API clients for nearly every API request: faster than the ORM can build it.

tests/test_hot.py compares each statement with its ORM twin.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from oasst.accounts.models import ApiClient, User
from oasst.core import prepared

_CLIENT_OF_KEY = f"""
    SELECT {prepared.column_list(ApiClient, "client")}, key.id, key.expires_at, key.last_used_at
    FROM accounts_apikey key JOIN accounts_apiclient client ON client.id = key.api_client_id
    WHERE key.digest = %s
"""
_PERSON_OF_IDENTITY = f"""
    SELECT {prepared.column_list(User, "person")}
    FROM accounts_identity identity JOIN accounts_user person ON person.id = identity.user_id
    WHERE identity.api_client_id = %s AND identity.auth_method = %s AND identity.username = %s
"""


class KeyRow(NamedTuple):
    client: ApiClient
    key_id: UUID
    expires_at: datetime | None
    last_used_at: datetime | None


def find_key(digest: str) -> KeyRow | None:
    """Return the API key with this digest, and its client."""
    for *client, key_id, expires_at, last_used_at in prepared.fetch_rows(_CLIENT_OF_KEY, [digest]):
        return KeyRow(prepared.build_instance(ApiClient, tuple(client)), key_id, expires_at, last_used_at)
    return None


def find_person(client_id: UUID, auth_method: str, username: str) -> User | None:
    """Return the user whom an API client knows by this name."""
    for row in prepared.fetch_rows(_PERSON_OF_IDENTITY, [client_id, auth_method, username]):
        return prepared.build_instance(User, row)
    return None


def find_user(user_id: UUID, *, known_to: UUID | None = None) -> User | None:
    """Return the user with this id; with `known_to`, only if that API client knows them."""
    if known_to is None:
        users = prepared.fetch_objects(User, "WHERE one.id = %s", [user_id])
    else:
        knows = "EXISTS (SELECT FROM accounts_identity WHERE user_id = one.id AND api_client_id = %s)"
        users = prepared.fetch_objects(User, f"WHERE one.id = %s AND {knows}", [user_id, known_to])
    return users[0] if users else None


def identities_of(user_ids: Iterable[UUID]) -> list[tuple[UUID, UUID, str, str]]:
    """Return (user, API client, auth method, username) of each identity of these users, the oldest first."""
    sql = (
        "SELECT user_id, api_client_id, auth_method, username FROM accounts_identity WHERE user_id = ANY(%s) "
        "ORDER BY id"
    )
    return prepared.fetch_rows(sql, [list(user_ids)])
