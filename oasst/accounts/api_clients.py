"""API clients and their keys.

In all functions without an actor it is the operator, by a command, or the root token. An actor needs the right to
operate and gives a reason.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from oasst.accounts import acts
from oasst.accounts.access import require_operator
from oasst.accounts.development_key import KNOWN_SECRET
from oasst.accounts.models import ApiClient, ApiKey, Secret, User
from oasst.core.audit.acts import Act
from oasst.core.audit.recording import record
from oasst.core.audit.rows import Watched, new_row, recorded_rows
from oasst.core.errors import Conflict, Gone, Invalid, NotAllowed, NotFound
from oasst.core.locks import advisory_lock
from oasst.core.text.validation import clean_line, clean_optional, clean_reason

MAX_VALID_KEYS = 2
FIELDS = ("name", "frontend_type", "admin_email")
"""What `change_api_client` changes."""
LIMITS = {"name": 256, "frontend_type": 256, "admin_email": 254}
ENDS_AFTER = {
    "now": timedelta(0),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=30),
}
"""When the keys before end, after a rotation."""
LAST_END = datetime(9999, 1, 1, tzinfo=UTC)
"""In some time zones the end of that year is a time that no page could show."""
_KEY_COLUMNS = ("api_client_id", "name", "prefix", "expires_at")


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

    Raise Invalid, NotAllowed `operators_only`, and Conflict `name_taken`: only people are refused a name that is taken,
    since scripts of Open-Assistant make clients of one name.
    """
    name = clean_line(name, limit=LIMITS["name"], field="name")
    if actor is not None:
        reason = _require_reason(actor, reason)
        admin_email = _clean("admin_email", admin_email)
        _refuse_taken_name(name)
    client = ApiClient.objects.create(
        name=name,
        trusted=trusted,
        frontend_type=_clean("frontend_type", frontend_type),
        admin_email=admin_email,
    )
    before, after = new_row("api_client", client, ("name", "trusted", "enabled", "frontend_type"))
    record(acts.CREATE_CLIENT, client, actor=actor, reason=reason, before=before, after=after)
    return client, _create_key(client, "", key, None)[1]


@transaction.atomic
def change_api_client(client: ApiClient, *, actor: User, reason: str, **changes: str) -> list[str]:
    """Change some of FIELDS. Return the names of those that are different now.

    The log keeps of an address only its first letter and its domain. Raise as `create_api_client`.
    """
    reason = _require_reason(actor, reason)
    changes = {name: _clean(name, value) for name, value in changes.items()}
    locked = _lock_client(client)
    different = [name for name, value in changes.items() if getattr(locked, name) != value]
    if "name" in different:
        _refuse_taken_name(changes["name"], but=locked.pk)
    if different:
        was = {name: _as_recorded(name, getattr(locked, name)) for name in different}
        became = {name: _as_recorded(name, changes[name]) for name in different}
        for name in different:
            setattr(locked, name, changes[name])
        locked.save(update_fields=different)
        before, after = {"api_client": {str(locked.pk): was}}, {"api_client": {str(locked.pk): became}}
        record(acts.CHANGE_CLIENT, locked, actor=actor, reason=reason, before=before, after=after)
    return different


def set_trust(client: ApiClient, *, trusted: bool, actor: User, reason: str) -> None:
    """Trust an API client, or no longer, from its next request on. Raise NotAllowed, Invalid, Conflict `already_so`."""
    already = _("This API client is trusted already.") if trusted else _("This API client is not trusted.")
    _set(client, "trusted", trusted, acts.TRUST_CLIENT, already, actor=actor, reason=reason)


def switch_api_client(client: ApiClient, *, on: bool, actor: User, reason: str) -> None:
    """Switch an API client on or off: while it is off, its keys are refused and its webhooks hear nothing. Nothing is
    deleted. Raise as `set_trust`.
    """
    already = _("This API client is on already.") if on else _("This API client is switched off already.")
    _set(client, "enabled", on, acts.SWITCH_CLIENT, already, actor=actor, reason=reason)


@transaction.atomic
def _set(client: ApiClient, column: str, value: bool, act: Act, already: str, *, actor: User, reason: str) -> None:
    reason = _require_reason(actor, reason)
    locked = _lock_client(client)
    if getattr(locked, column) == value:
        raise Conflict(already, code="already_so")
    watched = {"api_client": Watched(ApiClient.objects.filter(pk=locked.pk), (column,))}
    with recorded_rows(act, locked, watched, actor=actor, reason=reason):
        setattr(locked, column, value)
        locked.save(update_fields=[column])


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
    if actor is not None:
        require_operator(actor)
    _lock_client(client)
    if valid_keys(client).count() >= MAX_VALID_KEYS:
        raise Conflict(f"This program has {MAX_VALID_KEYS} valid keys. Revoke one of them first.", code="too_many_keys")
    _refuse_past(expires_at)
    api_key, secret = _create_key(client, name, key, expires_at)
    before, after = new_row("api_key", api_key, _KEY_COLUMNS)
    record(acts.CREATE_KEY, api_key, actor=actor, program=program, reason=api_key.name, before=before, after=after)
    return api_key, secret


@transaction.atomic
def rotate_keys(
    client: ApiClient,
    *,
    ends_after: timedelta,
    known: Collection[UUID] | None = None,
    actor: User | None = None,
    reason: str = "",
) -> tuple[ApiKey, str]:
    """Return a new key and its secret, and let the valid ones before end after this time; zero means at once.

    A key that ends sooner keeps its end. `known` are the valid keys that the actor saw: if there are others by now,
    nothing is done. The well-known development key is left alone, because each start of the site sets it. Raise
    NotAllowed, Invalid, and Conflict `keys_changed`, `too_many_keys`.
    """
    if actor is not None:
        reason = _require_reason(actor, reason)
    _lock_client(client)
    before = managed_keys(valid_keys(client))
    ids = set(before.values_list("pk", flat=True))
    if known is not None and ids != set(known):
        raise Conflict(
            _("The keys of this API client have changed meanwhile. Look at them, then decide again."),
            code="keys_changed",
        )
    if ends_after and len(ids) >= MAX_VALID_KEYS:
        raise Conflict(
            _("This API client has %(number)d valid keys. Let them end at once, or end one of them first.")
            % {"number": len(ids)},
            code="too_many_keys",
        )
    watched = {"api_key": Watched(ApiKey.objects.filter(api_client_id=client.pk), _KEY_COLUMNS)}
    with recorded_rows(acts.ROTATE_KEYS, client, watched, actor=actor, reason=reason):
        at = timezone.now() + ends_after
        before.filter(Q(expires_at=None) | Q(expires_at__gt=at)).update(expires_at=at)
        api_key, secret = _create_key(client, "", None, None)
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


def managed_keys(keys: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
    """Return these keys without the well-known development key, which a setting switches on and off."""
    return keys.exclude(digest=Secret.digest_of(KNOWN_SECRET))


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
    if actor is not None:
        require_operator(actor)
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


def _lock_client(client: ApiClient) -> ApiClient:
    """Return the row as it is now, locked. Raise NotAllowed for the programs of a person."""
    if client.person_id is not None:
        raise NotAllowed("A person's own program has tokens and no key.", code="not_trusted")
    return ApiClient.objects.select_for_update(no_key=True).get(pk=client.pk)


def _require_reason(actor: User, reason: str) -> str:
    require_operator(actor)
    return clean_reason(reason)


def _clean(name: str, value: str) -> str:
    limit = LIMITS[name]
    if name == "name":
        return clean_line(value, limit=limit, field=name)
    value = clean_optional(value, limit=limit, field=name, clean=clean_line)
    if name == "admin_email" and value:
        try:
            validate_email(value)
        except ValidationError as error:
            raise Invalid(
                _("This is no mail address. Write one such as ada@example.org, or nothing."), code="email", field=name
            ) from error
    return value


def _refuse_taken_name(name: str, but: UUID | None = None) -> None:
    """Raise Conflict `name_taken`. It holds until the commit, so that two people at once do not both take it."""
    advisory_lock("api_client_names")
    same = ApiClient.objects.filter(person=None, name__iexact=name)
    if (same if but is None else same.exclude(pk=but)).exists():
        raise Conflict(
            _("Another API client has this name. Choose one that tells them apart."), code="name_taken", field="name"
        )


def _as_recorded(name: str, value: str) -> str:
    """Return what the log keeps: of an address only enough to see that it is another one."""
    if name != "admin_email" or not value:
        return value
    local, _at, domain = value.rpartition("@")
    return f"{local[:1]}…@{domain}"


def _refuse_past(at: datetime | None) -> None:
    if at is not None and at <= timezone.now():
        raise Invalid("A key must expire in the future.", code="expires", field="expires_date")
    if at is not None and at >= LAST_END:
        raise Invalid("A key must expire before the year 9999, or never.", code="expires", field="expires_date")


def visible_prefix(secret: str) -> str:
    """Return enough of a key to tell keys apart, but too little of a short one to guess the rest."""
    return secret[: min(8, len(secret) // 4)]
