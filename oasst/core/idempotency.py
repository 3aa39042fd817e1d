"""Writes that may arrive twice (double click, retry, lost connection) and must count once.

The write and the record of its answer are stored in one transaction: both or neither.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.utils import timezone

from oasst.core.errors import Conflict, Invalid
from oasst.core.locks import advisory_lock
from oasst.core.models import RepeatableWrite

_SCOPE_LIMIT = 100
_KEY_LIMIT = 200


def once(*, scope: str, key: str, fingerprint: str, act: Callable[[], Any]) -> Any:
    """Run `act` and store its answer, or return the answer that the first call with this key got.

    `scope` says who and what (for example one user's submissions), `key` names the attempt, `fingerprint` stands for
    the request (see `fingerprint_of`). Raise `Conflict` `key_reused` for the same key with another fingerprint.
    Concurrent calls wait for the first one. Refusals are not stored, so they may be retried.

    The answer must be JSON (dates and UUIDs become text, for the first caller too). Joins the open transaction or
    opens one, so `act` must not need the outermost one.
    """
    with transaction.atomic(savepoint=False):
        return _replay_or_act(scope, key, fingerprint, act)


def once_outermost(*, scope: str, key: str, fingerprint: str, act: Callable[[], Any]) -> Any:
    """Do the same as `once` for an `act` that needs the outermost (`durable`) transaction.

    Its commits become savepoints, and all of them commit together with the stored answer; `on_commit` runs then.
    """
    if connection.in_atomic_block:  # only in tests, where `durable` ignores the test's own transaction
        return _replay_or_act(scope, key, fingerprint, act)
    transaction.set_autocommit(False)
    try:
        answer = _replay_or_act(scope, key, fingerprint, act)
        transaction.commit()
        return answer
    except BaseException:
        transaction.rollback()
        raise
    finally:
        transaction.set_autocommit(True)


def _replay_or_act(scope: str, key: str, fingerprint: str, act: Callable[[], Any]) -> Any:
    if not key or len(key) > _KEY_LIMIT or not key.isprintable():
        raise Invalid(
            f"The key of a repeatable request has 1 to {_KEY_LIMIT} printable characters.", code="key", field="key"
        )
    if len(scope) > _SCOPE_LIMIT:
        raise ValueError(f"the scope {scope!r} is longer than its column")
    with transaction.atomic(savepoint=False):
        advisory_lock("once", scope, key)
    stored = RepeatableWrite.objects.filter(scope=scope, key=key).first()
    if stored is None:
        answer = json.loads(json.dumps(act(), cls=DjangoJSONEncoder))
        RepeatableWrite.objects.create(scope=scope, key=key, fingerprint=fingerprint, answer=answer)
        return answer
    if stored.fingerprint != fingerprint:
        raise Conflict("This key was already used for another request.", code="key_reused", field="key")
    return stored.answer


def fingerprint_of(*parts: Any) -> str:
    """Return a hash of the JSON of `parts`, independent of the order of keys."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=True, cls=DjangoJSONEncoder)
    return hashlib.sha256(canonical.encode()).hexdigest()


def delete_old(*, older_than: timedelta) -> int:
    """Delete old answers, so that the table does not grow forever. Return how many."""
    deleted, _ = RepeatableWrite.objects.filter(created_at__lt=timezone.now() - older_than).delete()
    return deleted
