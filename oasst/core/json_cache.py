"""The cache as JSON: whoever can write to Redis can put wrong values there, but no code.

Pickle, which Django and django-redis use by default, runs what it reads. What is no JSON, such as a value that an
earlier version left, is as good as nothing here.
"""

import json
from typing import Any

from django_redis.client import DefaultClient
from django_redis.serializers.json import JSONSerializer

_UNREADABLE = object()


class StrictJson(JSONSerializer):
    """JSON and nothing else: a date, a UUID or a Decimal is a TypeError, not a text that comes back as one.

    Tuples come back as lists and keys of mappings as text: who keeps such values takes them apart.
    """

    encoder_class = json.JSONEncoder


class JsonClient(DefaultClient):
    """django-redis' client, for which a value that can not be read is a value that is not there."""

    def decode(self, value: Any) -> Any:
        try:
            return super().decode(value)
        except (ValueError, RecursionError):  # no JSON, no UTF-8, or lists in lists without end
            return _UNREADABLE

    def get(self, key: str, default: Any = None, version: int | None = None, client: Any = None) -> Any:
        value = super().get(key, default, version, client)
        return default if value is _UNREADABLE else value

    def get_many(self, keys: Any, version: int | None = None, client: Any = None) -> dict[str, Any]:
        found = super().get_many(keys, version, client)
        return {key: value for key, value in found.items() if value is not _UNREADABLE}
