"""Operations on the keys of the calling API client. Two may be valid at once, so that it can change without a gap."""

from typing import Any

from oasst.accounts import api_clients
from oasst.accounts.models import ApiKey, Secret
from oasst.api.authentication import key_of
from oasst.api.fields import Flag, Id, Moment, Shape, Text
from oasst.api.operations import Access, Call, Operation, operation
from oasst.core import ratelimit

OPERATIONS: list[Operation] = []
KEY = Access.PROGRAM


class KeyShape(Shape):
    """A key, told by its first letters: of the rest only a hash is kept."""

    id = Id()
    name = Text()
    prefix = Text()
    is_this_one = Flag(help_text="The key of this request.")
    created_date = Moment(source="created_at")
    expires_date = Moment(allow_null=True, source="expires_at")
    last_used_date = Moment(allow_null=True, source="last_used_at", help_text="To the minute.")


class NewKeyShape(KeyShape):
    key = Text(help_text="Told only now.")


def _show(one: ApiKey, call: Call, **told: str) -> dict[str, Any]:
    return {**vars(one), "is_this_one": one.digest == Secret.digest_of(key_of(call.request)), **told}


@operation(OPERATIONS, "GET", "keys", KEY, answer=[KeyShape])
def list_keys(call: Call) -> Any:
    """The keys of the calling client, also those that expired."""
    return [_show(one, call) for one in call.client.keys.order_by("created_at", "pk")]


class NewKeyBody(Shape):
    name = Text(default="", max_length=100)
    expires_date = Moment(default=None, allow_null=True)


@operation(
    OPERATIONS,
    "POST",
    "keys",
    KEY,
    body=NewKeyBody,
    body_required=False,
    answer=NewKeyShape,
    status=201,
    plain=(409,),
    repeatable=False,  # a key is not kept in the clear
)
def create_key(call: Call) -> Any:
    """Another key for the calling client. At most two are valid at once."""
    ratelimit.spend(ratelimit.NEW_KEYS, call.client.pk)
    body = call.body or {"name": "", "expires_date": None}
    made, secret = api_clients.new_api_key(call.client, name=body["name"], expires_at=body["expires_date"])
    return _show(made, call, key=secret)


class ExpiryQuery(Shape):
    expires_date = Moment()


@operation(OPERATIONS, "PUT", "keys/<key_id>", KEY, query=ExpiryQuery, answer=KeyShape, plain=(404, 409, 410))
def expire_key(call: Call) -> Any:
    """Let a key end at a time. One that does not expire has to be left."""
    return _show(api_clients.expire_api_key(call.client, call.id("key_id"), call.query["expires_date"]), call)


@operation(OPERATIONS, "DELETE", "keys/<key_id>", KEY, status=204, plain=(404, 409, 410))
def revoke_key(call: Call) -> None:
    """End a key now. One that does not expire has to be left."""
    api_clients.expire_api_key(call.client, call.id("key_id"))
