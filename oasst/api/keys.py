"""Operations on the keys of the calling API client. Two may be valid at once, for a change without downtime."""

from typing import Any

from oasst.accounts import api_clients
from oasst.accounts.models import ApiKey, Secret
from oasst.api.authentication import request_key
from oasst.api.fields import BooleanField, DateTimeField, Schema, TextField, UUIDField
from oasst.api.operations import Access, Call, Operation, operation
from oasst.core import ratelimit

OPERATIONS: list[Operation] = []
KEY = Access.PROGRAM


class KeySchema(Schema):
    """A key, identified by its first letters. Only a hash of it is stored."""

    id = UUIDField()
    name = TextField()
    prefix = TextField()
    is_this_one = BooleanField(help_text="The key of this request.")
    created_date = DateTimeField(source="created_at")
    expires_date = DateTimeField(allow_null=True, source="expires_at")
    last_used_date = DateTimeField(allow_null=True, source="last_used_at", help_text="To the minute.")


class NewKeySchema(KeySchema):
    key = TextField(help_text="Shown only now.")


def _represent(api_key: ApiKey, call: Call, **secret: str) -> dict[str, Any]:
    return {**vars(api_key), "is_this_one": api_key.digest == Secret.digest_of(request_key(call.request)), **secret}


@operation(OPERATIONS, "GET", "keys", KEY, answer=[KeySchema])
def list_keys(call: Call) -> Any:
    """The keys of the calling client, also those that expired."""
    return [_represent(key, call) for key in call.client.keys.order_by("created_at", "pk")]


class NewKeyBody(Schema):
    name = TextField(default="", max_length=100)
    expires_date = DateTimeField(default=None, allow_null=True)


@operation(
    OPERATIONS,
    "POST",
    "keys",
    KEY,
    body=NewKeyBody,
    body_required=False,
    answer=NewKeySchema,
    status=201,
    unnumbered_statuses=(409,),
    repeatable=False,  # the response is not stored, because it has a key
)
def create_key(call: Call) -> Any:
    """Another key for the calling client. At most two are valid at once."""
    ratelimit.count_use(ratelimit.NEW_KEYS, call.client.pk)
    body = call.body or {"name": "", "expires_date": None}
    api_key, secret = api_clients.create_api_key(
        call.client, name=body["name"], expires_at=body["expires_date"], program=call.client
    )
    return _represent(api_key, call, key=secret)


class ExpiryQuery(Schema):
    expires_date = DateTimeField()


@operation(
    OPERATIONS, "PUT", "keys/<key_id>", KEY, query=ExpiryQuery, answer=KeySchema, unnumbered_statuses=(404, 409, 410)
)
def expire_key(call: Call) -> Any:
    """Let a key expire at a time. One key without an expiry must remain."""
    key = api_clients.expire_api_key(call.client, call.id("key_id"), call.query["expires_date"], program=call.client)
    return _represent(key, call)


@operation(OPERATIONS, "DELETE", "keys/<key_id>", KEY, status=204, unnumbered_statuses=(404, 409, 410))
def revoke_key(call: Call) -> None:
    """Revoke a key now. One key without an expiry must remain."""
    api_clients.expire_api_key(call.client, call.id("key_id"), program=call.client)
