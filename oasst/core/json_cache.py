"""A JSON cache: an attacker who can write to Redis can store wrong values, but no code.

Django and django-redis use pickle by default, which executes code from what it reads. Values that are not JSON, for
example from an older version, count as missing.
"""

import json
from typing import Any

from django_redis.client import DefaultClient
from django_redis.serializers.json import JSONSerializer

_UNREADABLE = object()


class StrictJson(JSONSerializer):
    """Raise TypeError for dates, UUIDs and Decimals, which would come back as text.

    Tuples come back as lists and keys of mappings as text: callers must convert them.
    """

    encoder_class = json.JSONEncoder


class JsonClient(DefaultClient):
    """A django-redis client that treats unreadable values as missing."""

    def decode(self, value: Any) -> Any:
        try:
            return super().decode(value)
        except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested too deeply
            return _UNREADABLE

    def get(self, key: str, default: Any = None, version: int | None = None, client: Any = None) -> Any:
        value = super().get(key, default, version, client)
        return default if value is _UNREADABLE else value

    def get_many(self, keys: Any, version: int | None = None, client: Any = None) -> dict[str, Any]:
        values = super().get_many(keys, version, client)
        return {key: value for key, value in values.items() if value is not _UNREADABLE}
