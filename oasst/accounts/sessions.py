"""The session engine: Django's `cached_db`, with a column that says whose session it is."""

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import cached_db

from oasst.accounts.models import Session


class SessionStore(cached_db.SessionStore):
    cache_key_prefix = "oasst.sessions"

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        session: Any = super().create_model_instance(data)
        session.account = data.get(SESSION_KEY)
        return session
