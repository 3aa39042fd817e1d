"""Write an entry of the audit log, in the transaction of the act."""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.models import Model
from django.db.transaction import TransactionManagementError
from django.utils.crypto import salted_hmac

from oasst.core.audit.acts import Act
from oasst.core.command_lines import running_command
from oasst.core.http.origin import request_address
from oasst.core.models import AuditEntry, AuditText

Facts = Mapping[str, Any]
_collected: ContextVar[list[AuditEntry] | None] = ContextVar("collected_entries", default=None)
_follower: ContextVar[Callable[[AuditEntry], object] | None] = ContextVar("follower_of_entries", default=None)


@contextmanager
def followed_entries(follow: Callable[[AuditEntry], object]) -> Iterator[None]:
    """Call `follow` with each entry that is written inside the block, in the transaction of its act: what it writes is
    stored with the act or not at all, and the act is rolled back if it raises.
    """
    token = _follower.set(follow)
    try:
        yield
    finally:
        _follower.reset(token)


@contextmanager
def collected_entries() -> Iterator[list[AuditEntry]]:
    """Collect the entries that are written inside the block, for whoever wants to undo these acts later."""
    entries: list[AuditEntry] = []
    token = _collected.set(entries)
    try:
        yield entries
    finally:
        _collected.reset(token)


def record(
    act: Act,
    target: Model | str,
    *,
    actor: Any = None,
    program: Any = None,
    person_id: UUID | None = None,
    reason: str = "",
    before: Facts | None = None,
    after: Facts | None = None,
) -> AuditEntry:
    """Store that somebody did this to `target`: a user as `actor`, an API client as `program`, or else the operator.

    An act on many things at once has their kind as its target, such as "trees.messagetree". Of an operator's act the
    reason names the command. `person_id` is the user whom it concerns, whose purge erases the words. `before` and
    `after` hold what changed, as plain values by name (`rows` makes them). Raise TransactionManagementError outside a
    transaction, where the act might be lost and its entry kept. Two statements.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("an act and its entry need one transaction")
    if actor is None and program is None and (command := running_command.get()):
        reason = f"By command {command}. {reason}".rstrip()
    words = _Words(reason.replace("\0", ""), _as_json(before), _as_json(after))
    salt = secrets.token_hex(16)
    entry = AuditEntry.objects.create(
        act=act.name,
        actor=actor,
        program=program,
        target_type=target if isinstance(target, str) else target._meta.label_lower,
        target_id="" if isinstance(target, str) else str(target.pk),
        person_id=person_id,
        address_digest=digest_of_address(request_address.get()),
        text_digest=words.digest(salt),
    )
    AuditText.objects.create(entry=entry, salt=salt, reason=words.reason, before=words.before, after=words.after)
    if (entries := _collected.get()) is not None:
        entries.append(entry)
    if (follow := _follower.get()) is not None:
        follow(entry)
    return entry


def digest_of_address(address: str) -> str:
    """Return what the log keeps of an address: equal for equal addresses, and of no use without the site's key."""
    if not address:
        return ""
    return salted_hmac("oasst.core.audit.address", address, algorithm="sha256").hexdigest()


class _Words:
    def __init__(self, reason: str, before: str, after: str) -> None:
        self.reason, self.before, self.after = reason, before, after

    def digest(self, salt: str) -> str:
        return digest_of_words(salt, self.reason, self.before, self.after)


def digest_of_words(salt: str, reason: str, before: str, after: str) -> str:
    """Return the digest that an entry keeps of its words, as 64 hexadecimal digits."""
    whole = json.dumps([salt, reason, before, after], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(whole.encode()).hexdigest()


def _as_json(facts: Facts | None) -> str:
    if facts is None:
        return ""
    plain = json.dumps(facts, cls=DjangoJSONEncoder, ensure_ascii=False, sort_keys=True)
    return plain.replace("\\u0000", "")
