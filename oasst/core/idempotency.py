"""Writes that may arrive twice (double click, retry, lost connection) and must count once.

The act and the memory of its answer are rows of one transaction: either both are there or neither.
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
    """Run `act` and remember its answer, or give the answer that the first call with this key got.

    `scope` is who and what (one person's submissions), `key` names the attempt, `fingerprint` says what was
    asked (see `fingerprint_of`): the same key with another fingerprint is a mistake of the sender, `Conflict`
    `key_reused`. Of two calls at once the second waits for the first. A refusal is not remembered, so it may
    be tried again.

    The answer must be JSON (dates and UUIDs are fine and come back as text, for the first caller too).
    Joins the open transaction or opens its own; `act` therefore must not insist on being the outermost one.
    """
    with transaction.atomic(savepoint=False):
        return _recall_or_act(scope, key, fingerprint, act)


def once_around_services(*, scope: str, key: str, fingerprint: str, act: Callable[[], Any]) -> Any:
    """As `once`, for an `act` that insists on being the outermost (`durable`): its commits become savepoints, and all
    of it is committed with the memory of its answer, or nothing. What waits for the commit runs then.
    """
    if connection.in_atomic_block:  # a test's, which services take for none
        return _recall_or_act(scope, key, fingerprint, act)
    transaction.set_autocommit(False)
    try:
        answer = _recall_or_act(scope, key, fingerprint, act)
        transaction.commit()
        return answer
    except BaseException:
        transaction.rollback()
        raise
    finally:
        transaction.set_autocommit(True)


def _recall_or_act(scope: str, key: str, fingerprint: str, act: Callable[[], Any]) -> Any:
    if not key or len(key) > _KEY_LIMIT or not key.isprintable():
        raise Invalid(
            f"The key of a repeatable request has 1 to {_KEY_LIMIT} printable characters.",
            code="key",
            field="key",
        )
    if len(scope) > _SCOPE_LIMIT:
        raise ValueError(f"the scope {scope!r} is longer than its column")
    with transaction.atomic(savepoint=False):
        advisory_lock("once", scope, key)
    known = RepeatableWrite.objects.filter(scope=scope, key=key).first()
    if known is None:
        answer = json.loads(json.dumps(act(), cls=DjangoJSONEncoder))
        RepeatableWrite.objects.create(scope=scope, key=key, fingerprint=fingerprint, answer=answer)
        return answer
    if known.fingerprint != fingerprint:
        raise Conflict("This key was already used for another request.", code="key_reused", field="key")
    return known.answer


def fingerprint_of(*parts: Any) -> str:
    """One short word for "the same request": the hash of its JSON, whatever the order of the keys."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=True, cls=DjangoJSONEncoder)
    return hashlib.sha256(canonical.encode()).hexdigest()


def forget(*, older_than: timedelta) -> int:
    """Drop old answers, so that the table does not grow for ever. Returns how many."""
    deleted, _ = RepeatableWrite.objects.filter(created_at__lt=timezone.now() - older_than).delete()
    return deleted
