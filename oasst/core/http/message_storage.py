"""Where sentences for the next page wait (Django's messages): in a cookie; those that tell a secret in the session."""

from typing import Any

from django.contrib.messages.storage.base import Message
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage

SECRET = "secret"  # noqa: S105 (a mark, no secret)
"""Given as `extra_tags` of a message that tells a key: what the browser keeps and sends along is no place for it."""


class _WithoutSecrets(CookieStorage):
    def _get(self, *args: Any, **kwargs: Any) -> tuple[list[Message], bool]:
        """Never all: the session may hold more, also where there is no cookie."""
        found, _ = super()._get(*args, **kwargs)  # type: ignore[misc]
        return found or [], False

    def _store(self, messages: list[Message], response: Any, *args: Any, **kwargs: Any) -> list[Message]:
        secrets = [one for one in messages if _is_secret(one)]
        others = [one for one in messages if not _is_secret(one)]
        return [*super()._store(others, response, *args, **kwargs), *secrets]  # type: ignore[misc]


class MessageStorage(FallbackStorage):
    storage_classes = (_WithoutSecrets, SessionStorage)


def _is_secret(message: Message) -> bool:
    return SECRET in (message.extra_tags or "").split()
