"""The statements on people and programs that nearly every request of a program asks, by hand: the ORM takes longer to
write them than PostgreSQL to run them.

Each has a twin in tests/test_hot.py that says the same by the ORM.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from oasst.accounts.models import ApiClient, User
from oasst.core import prepared

_CLIENT_OF_KEY = f"""
    SELECT {prepared.columns(ApiClient, "client")}, key.id, key.expires_at, key.last_used_at
    FROM accounts_apikey key JOIN accounts_apiclient client ON client.id = key.api_client_id
    WHERE key.digest = %s
"""
_PERSON_OF_IDENTITY = f"""
    SELECT {prepared.columns(User, "person")}
    FROM accounts_identity identity JOIN accounts_user person ON person.id = identity.user_id
    WHERE identity.api_client_id = %s AND identity.auth_method = %s AND identity.username = %s
"""


class KeyFound(NamedTuple):
    client: ApiClient
    key_id: UUID
    expires_at: datetime | None
    last_used_at: datetime | None


def find_key(digest: str) -> KeyFound | None:
    """The API key with this digest, and its client."""
    for *of_client, key_id, expires_at, last_used_at in prepared.read(_CLIENT_OF_KEY, [digest]):
        return KeyFound(prepared.as_model(ApiClient, tuple(of_client)), key_id, expires_at, last_used_at)
    return None


def find_person(client_id: UUID, auth_method: str, username: str) -> User | None:
    """Whom an API client knows by this name."""
    for row in prepared.read(_PERSON_OF_IDENTITY, [client_id, auth_method, username]):
        return prepared.as_model(User, row)
    return None


def find_user(user_id: UUID, *, known_to: UUID | None = None) -> User | None:
    """The person with this id, `known_to` this API client where one is given."""
    if known_to is None:
        found = prepared.objects(User, "WHERE one.id = %s", [user_id])
    else:
        knows = "EXISTS (SELECT FROM accounts_identity WHERE user_id = one.id AND api_client_id = %s)"
        found = prepared.objects(User, f"WHERE one.id = %s AND {knows}", [user_id, known_to])
    return found[0] if found else None


def names_of(people: Iterable[UUID]) -> list[tuple[UUID, UUID, str, str]]:
    """(person, API client, auth method, username) of each identity of these people, the oldest first."""
    sql = (
        "SELECT user_id, api_client_id, auth_method, username FROM accounts_identity WHERE user_id = ANY(%s) "
        "ORDER BY id"
    )
    return prepared.read(sql, [list(people)])
