"""API clients and their keys."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from oasst.accounts import acts
from oasst.accounts.models import ApiClient, ApiKey, Secret, User
from oasst.core.audit.recording import record
from oasst.core.audit.rows import Watched, new_row, recorded_rows
from oasst.core.errors import Conflict, Gone, Invalid, NotAllowed, NotFound
from oasst.core.text.validation import clean_line

MAX_VALID_KEYS = 2


@transaction.atomic
def create_api_client(
    *,
    name: str,
    trusted: bool = False,
    key: str | None = None,
    frontend_type: str = "",
    admin_email: str = "",
    actor: User | None = None,
    reason: str = "",
) -> tuple[ApiClient, str]:
    """Return a new API client and its first key, which is stored only as a hash. `key` sets an existing key.

    Without an actor it is the operator.
    """
    client = ApiClient.objects.create(
        name=clean_line(name, limit=256, field="name"),
        trusted=trusted,
        frontend_type=frontend_type,
        admin_email=admin_email,
    )
    before, after = new_row("api_client", client, ("name", "trusted", "enabled", "frontend_type"))
    record(acts.CREATE_CLIENT, client, actor=actor, reason=reason, before=before, after=after)
    return client, _create_key(client, "", key, None)[1]


@transaction.atomic
def create_api_key(
    client: ApiClient,
    *,
    name: str = "",
    key: str | None = None,
    expires_at: datetime | None = None,
    actor: User | None = None,
    program: ApiClient | None = None,
) -> tuple[ApiKey, str]:
    """Return a new key of an API client, and its secret, which is stored only as a hash.

    The previous key stays valid until it expires or is revoked. An administrator makes it, the client itself as
    `program`, or else the operator. Raise NotAllowed, Invalid (`key`, `expires`), Conflict
    (`key_taken`, `too_many_keys`).
    """
    if client.person_id is not None:
        raise NotAllowed("A person's own program has tokens and no key.", code="not_trusted")
    _lock_client(client)
    if valid_keys(client).count() >= MAX_VALID_KEYS:
        raise Conflict(f"This program has {MAX_VALID_KEYS} valid keys. Revoke one of them first.", code="too_many_keys")
    _refuse_past(expires_at)
    api_key, secret = _create_key(client, name, key, expires_at)
    before, after = new_row("api_key", api_key, ("api_client_id", "name", "prefix", "expires_at"))
    record(acts.CREATE_KEY, api_key, actor=actor, program=program, reason=api_key.name, before=before, after=after)
    return api_key, secret


def _create_key(client: ApiClient, name: str, key: str | None, expires_at: datetime | None) -> tuple[ApiKey, str]:
    secret = key if key is not None else Secret.new_secret()
    if not secret.isascii() or not secret.isprintable() or " " in secret or not 0 < len(secret) <= 200:
        raise Invalid("A key has 1 to 200 ASCII characters and no spaces.", code="key", field="key")
    try:
        with transaction.atomic():
            api_key = ApiKey.objects.create(
                api_client=client,
                name=clean_line(name, limit=100, field="name") if name else "",
                prefix=visible_prefix(secret),
                digest=Secret.digest_of(secret),
                expires_at=expires_at,
            )
    except IntegrityError as error:
        raise Conflict("This key is already in use.", code="key_taken", field="key") from error
    return api_key, secret


def valid_keys(client: ApiClient) -> QuerySet[ApiKey]:
    return client.keys.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


@transaction.atomic
def expire_api_key(
    client: ApiClient,
    key_id: UUID,
    at: datetime | None = None,
    *,
    actor: User | None = None,
    program: ApiClient | None = None,
    reason: str = "",
) -> ApiKey:
    """Let a valid key expire at this time, by default now. It stays in the list of keys.

    Actor and program are as for `create_api_key`. Raise NotFound, Gone `key_expired`, Invalid `expires`, and Conflict
    `last_key`, because an API client cannot undo locking itself out.
    """
    _lock_client(client)
    key = client.keys.filter(pk=key_id).first()
    if key is None:
        raise NotFound("This API client has no such key.", code="key_not_found")
    if not valid_keys(client).filter(pk=key_id).exists():
        raise Gone("This key is not valid any more.", code="key_expired")
    _refuse_past(at)
    if not valid_keys(client).filter(expires_at=None).exclude(pk=key_id).exists():
        raise Conflict("This is the last key that does not expire. Make another one first.", code="last_key")
    watched = {"api_key": Watched(ApiKey.objects.filter(pk=key.pk), ("expires_at",))}
    with recorded_rows(acts.END_KEY, key, watched, actor=actor, program=program, reason=reason):
        key.expires_at = at or timezone.now()
        key.save(update_fields=["expires_at"])
    return key


def _lock_client(client: ApiClient) -> None:
    ApiClient.objects.select_for_update(no_key=True).get(pk=client.pk)


def _refuse_past(at: datetime | None) -> None:
    if at is not None and at <= timezone.now():
        raise Invalid("A key must expire in the future.", code="expires", field="expires_date")


def visible_prefix(secret: str) -> str:
    """Return enough of a key to tell keys apart, but too little of a short one to guess the rest."""
    return secret[: min(8, len(secret) // 4)]
