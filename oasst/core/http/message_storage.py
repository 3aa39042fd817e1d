"""Storage for Django's messages: in a cookie, but messages with a secret in the session."""

from typing import Any

from django.contrib.messages.storage.base import Message
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage

SECRET_TAG = "secret"  # noqa: S105
"""For `extra_tags` of a message with a key, which must not be stored in a cookie."""


class _WithoutSecrets(CookieStorage):
    def _get(self, *args: Any, **kwargs: Any) -> tuple[list[Message], bool]:
        """Return the messages and False, so that Django also reads those in the session."""
        stored, _ = super()._get(*args, **kwargs)  # type: ignore[misc]
        return stored or [], False

    def _store(self, messages: list[Message], response: Any, *args: Any, **kwargs: Any) -> list[Message]:
        secrets = [message for message in messages if _is_secret(message)]
        others = [message for message in messages if not _is_secret(message)]
        return [*super()._store(others, response, *args, **kwargs), *secrets]  # type: ignore[misc]


class MessageStorage(FallbackStorage):
    storage_classes = (_WithoutSecrets, SessionStorage)


def _is_secret(message: Message) -> bool:
    return SECRET_TAG in (message.extra_tags or "").split()
