"""Users as API clients name them: `(auth_method, username)` within one client.

The site does not authenticate these users; their client vouches for them.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from oasst.accounts import account_changes, acts, hot, names, suspensions
from oasst.accounts.account_bans import suspend_if_returning
from oasst.accounts.closing import close_account
from oasst.accounts.consent import TERMS_DOCUMENT, accept_terms
from oasst.accounts.documents import TERMS
from oasst.accounts.locks import lock_user
from oasst.accounts.models import ApiClient, Consent, Identity, User
from oasst.accounts.names import tidy_name
from oasst.accounts.roles import has_no_role
from oasst.core import ratelimit
from oasst.core.audit.recording import record
from oasst.core.audit.rows import recorded_rows
from oasst.core.errors import Invalid, NotAllowed, NotFound

AUTH_METHODS = ("discord", "google", "local", "system")
SELF = ("local", "me")
"""The identity of users who use their own tokens."""
SYSTEM = "system"  # for programs that write in their own name: imports, models


def find_person(client: ApiClient, auth_method: str, username: str) -> User | None:
    """Return the user whom this client knows by this name, with one query."""
    user = hot.find_person(client.pk, auth_method, username)
    if user is not None:
        user.vouched_for = client.person_id is None
    return user


def get_or_create_person(client: ApiClient, *, auth_method: str, username: str, display_name: str) -> User:
    """Return the user whom this client knows by this name; create or rename them if necessary.

    A new user is suspended if this name belonged to a suspended account that was closed. A user's own token only acts
    for that user and never renames them. Raise Invalid `identity_incomplete` without a username, NotAllowed
    `foreign_person`, Busy `rate_limited` if an untrusted client creates too many users.
    """
    if not username:
        raise Invalid("A user needs an id: what the sign-in service calls them.", code="identity_incomplete")
    name = tidy_name(display_name)
    user = find_person(client, auth_method, username)
    if client.person_id is not None:
        if user is None:
            raise NotAllowed(
                "Your token acts for you alone: name the user with the auth_method local and the id me.",
                code="foreign_person",
            )
        return user
    if user is None:
        return _create(client, auth_method, username, name)
    # Users who also sign in on the site choose their name there.
    if name and name != user.display_name and user.email is None and user.is_active and not user.owns_name:
        with transaction.atomic():
            lock_user(user)  # before the lock of the name, always in this order
            names.set_client_name(user, name, client)
            user.save(update_fields=names.FIELDS)
    return user


def person_of_body(client: ApiClient, body: dict[str, Any]) -> User:
    """Return the user whom a body names, as `get_or_create_person` does. Raise Invalid `identity_incomplete`."""
    return get_or_create_person(
        client, auth_method=body["auth_method"], username=body["id"], display_name=body["display_name"]
    )


def _create(client: ApiClient, auth_method: str, username: str, name: str) -> User:
    if not client.trusted:
        ratelimit.count_use(ratelimit.NEW_PEOPLE_OF_CLIENT, client.pk)
    is_program = auth_method == SYSTEM
    try:
        with transaction.atomic():
            user = User(show_on_leaderboard=not is_program, streak_started_at=timezone.now())
            names.set_client_name(user, name, client)
            user.set_unusable_password()
            user.save(force_insert=True)
            Identity.objects.create(user=user, api_client=client, auth_method=auth_method, username=username)
            suspend_if_returning(user, [suspensions.identity_name(client.pk, auth_method, username)])
            if is_program:
                accept_terms(user)
    except IntegrityError:  # a concurrent request created the same user
        existing = find_person(client, auth_method, username)
        if existing is None:
            raise
        return existing
    user.vouched_for = True
    return user


# --- What clients may see of users ---

# Without the identities of users' own tokens, which are all the same.
_SEEN_BY_TRUSTED = Q(api_client__person=None)


def identities_for(client: ApiClient, api_client_id: UUID | None = None) -> QuerySet[Identity]:
    """Return the identities that this client may see, with their users: its own, or all if it is trusted.

    Raise NotAllowed `foreign_client` if an untrusted client names another one.
    """
    if api_client_id is not None and api_client_id != client.pk and not client.trusted:
        raise NotAllowed("Another API client's data is for trusted clients.", code="foreign_client")
    accepted_at = _terms_accepted_at("user_id", "user__")
    identities = Identity.objects.select_related("user").annotate(terms_accepted_at=accepted_at)
    if api_client_id is not None:
        return identities.filter(api_client_id=api_client_id)
    return identities.filter(_SEEN_BY_TRUSTED) if client.trusted else identities.filter(api_client=client)


def _terms_accepted_at(user: str, prefix: str) -> Subquery:
    """Return when the user accepted the terms that are in force for them."""
    consents = Consent.objects.filter(user=OuterRef(user), document=TERMS_DOCUMENT, withdrawn_at=None)
    in_force = consents.filter(version=OuterRef(f"{prefix}terms_version")).order_by("-accepted_at")
    return Subquery(in_force.values("accepted_at")[:1])


def represent_identity(identity: Any, client: ApiClient) -> dict[str, Any]:
    """Return the representation of a user, from a row of `identities_for`."""
    fields = identity.auth_method, identity.username, identity.terms_accepted_at
    return _represent(identity.user, *fields, notes=client.trusted)


def _represent(
    user: User, auth_method: str, username: str, terms_accepted_at: datetime | None, *, notes: bool
) -> dict[str, Any]:
    return {
        "id": username,
        "display_name": user.display_name,
        "auth_method": auth_method,
        "user_id": user.pk,
        "enabled": user.enabled,
        "deleted": user.deleted_at is not None,
        # Only for trusted clients, because moderators write them for moderators.
        "notes": user.notes if notes else "",
        "created_date": user.created_at,
        "show_on_leaderboard": user.show_on_leaderboard,
        "streak_days": user.streak_days,
        "streak_last_day_date": user.streak_started_at,
        "last_activity_date": user.last_activity_at,
        "tos_acceptance_date": terms_accepted_at,
    }


def represent_people(client: ApiClient, ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """Return the representations of users by id, preferably with this client's own name for them."""
    result: dict[UUID, dict[str, Any]] = {}
    identities = identities_for(client).filter(user_id__in=ids).order_by("created_at", "id")
    for identity in sorted(identities, key=lambda identity: identity.api_client_id != client.pk):
        result.setdefault(identity.user_id, represent_identity(identity, client))
    if client.trusted and len(result) < len(ids):
        without_identity = User.objects.filter(pk__in=set(ids) - result.keys())
        for user in without_identity.annotate(terms_accepted_at=_terms_accepted_at("pk", "")):
            name = f"deleted_{user.pk}" if user.deleted_at else str(user.pk)
            result[user.pk] = _represent(user, "local", name, user.terms_accepted_at, notes=True)
    return result


def get_person_for(client: ApiClient, user_id: UUID, api_client_id: UUID | None = None) -> dict[str, Any]:
    """Return the representation of a user. Trusted clients also see users without an identity, who sign in here.

    Raise NotFound, and NotAllowed as `identities_for`.
    """
    if api_client_id is not None:
        identity = identities_for(client, api_client_id).filter(user_id=user_id).order_by("created_at", "id").first()
        if identity is not None:
            return represent_identity(identity, client)
    elif people := represent_people(client, [user_id]):
        return people[user_id]
    raise _unknown()


def get_identity_for(client: ApiClient, auth_method: str, username: str, api_client_id: UUID | None = None) -> Identity:
    """Return the identity with this name at the calling client, or at another one. Raise as `get_person_for`."""
    identities = identities_for(client, api_client_id or client.pk)
    identity = identities.filter(auth_method=auth_method, username=username).first()
    if identity is None:
        raise _unknown()
    identity.user.vouched_for = client.person_id is None
    return identity


def people_with_name(auth_method: str, username: str, client: ApiClient) -> QuerySet[User]:
    """Return the users whom this client may mean by the name; a trusted client may mean users of others, too."""
    identities = Identity.objects.filter(auth_method=auth_method, username=username)
    visible = identities.filter(_SEEN_BY_TRUSTED) if client.trusted else identities.filter(api_client=client)
    return User.objects.filter(identities__in=visible)


def _unknown() -> NotFound:
    return NotFound("There is no such user.", code="user_not_found")


# --- What clients may change of users ---


@transaction.atomic
def upsert_person(client: ApiClient, body: dict[str, Any]) -> dict[str, Any]:
    """Create or rename a user, and set the members of the body that are not null.

    `enabled` must not change, because a sign-in may not lift a ban. Notes and leaderboard are for trusted clients,
    the terms for every client and its own users; a user's own token must name the version. Raise Invalid, NotAllowed
    `not_trusted`.
    """
    user = person_of_body(client, body)
    if body["tos_acceptance"]:
        # An API client is responsible for showing the terms; with a user's own token nobody knows what they have read.
        _accept_terms_once(user, body["tos_version"], is_optional=client.person_id is None)
    values = {name: body[name] for name in ("show_on_leaderboard", "notes") if body[name] is not None}
    changes = {name: value for name, value in values.items() if value != getattr(user, name)}
    changes_ban = body["enabled"] is not None and body["enabled"] != user.enabled
    if (changes or changes_ban) and not client.trusted:
        raise NotAllowed("Only trusted clients change more of a user than the name.", code="not_trusted")
    if changes_ban:
        raise NotAllowed("A ban is set and lifted only with PUT /users/{user_id}.", code="not_trusted")
    _set(user, changes)
    return represent_identity(get_identity_for(client, body["auth_method"], body["id"]), client)


@transaction.atomic
def update_person(client: ApiClient, user_id: UUID, changes: dict[str, Any]) -> User:
    """Change display_name, notes and show_on_leaderboard for a trusted client, and return the user.

    For the client's own users also tos_acceptance with tos_version. Raise NotFound, Invalid `terms_version`,
    NotAllowed `not_trusted` for staff, and `foreign_person` for terms of a user of another client.
    """
    user = lock_non_staff(user_id)
    version = changes.pop("tos_version", None)
    if changes.pop("tos_acceptance", None):
        if not Identity.objects.filter(user=user, api_client=client).exists():
            raise NotAllowed(
                "Agree to the terms for your own users only. Others agree here, or through their own API client.",
                code="foreign_person",
            )
        _accept_terms_once(user, version)
    with recorded_rows(acts.CHANGE, user, account_changes.watched(user), program=client, person_id=user.pk):
        if "display_name" in changes:
            names.set_client_name(user, tidy_name(changes.pop("display_name")), client)
            user.save(update_fields=names.FIELDS)
        _set(user, changes)
    return user


@transaction.atomic
def delete_person(user_id: UUID, program: ApiClient | None) -> None:
    """Close the user's account for an API client, or for one with a root token; see `close_account`. Raise as
    `update_person`.
    """
    user = lock_non_staff(user_id)
    close_account(user)
    record(acts.CLOSE, user, program=program, person_id=user.pk, reason="" if program else "With a root token.")


def get_non_staff(user_id: UUID, people: QuerySet[User] | None = None) -> User:
    """Return a user without a role, because API clients may not change staff. Raise NotFound, NotAllowed."""
    user = (User.objects.all() if people is None else people).filter(pk=user_id).first()
    if user is None:
        raise _unknown()
    if not has_no_role(user):
        raise NotAllowed("Moderators and administrators can only be changed in the admin.", code="not_trusted")
    return user


def lock_non_staff(user_id: UUID) -> User:
    """Do the same as `get_non_staff`, and lock the row until the open transaction ends."""
    return get_non_staff(user_id, User.objects.select_for_update(no_key=True))


def _accept_terms_once(user: User, version: str | None, *, is_optional: bool = True) -> None:
    """Record that the user agrees to the current terms. `version` is the one that they read.

    Raise Invalid `terms_version` for another version. A version is required unless `is_optional`, and always after
    the user withdrew their consent.
    """
    if version != TERMS.version and (version or not is_optional):
        raise _version_required(f"Version {version[:32]} of the terms is not in force. " if version else "")
    if user.terms_version == TERMS.version:
        return
    lock_user(user)  # so that they cannot withdraw between check and acceptance
    if not version and _has_withdrawn(user):
        raise _version_required("This person withdrew their consent. ")
    accept_terms(user)


def _has_withdrawn(user: User) -> bool:
    newest = Consent.objects.filter(user=user, document=TERMS_DOCUMENT).order_by("-accepted_at").first()
    return newest is not None and newest.withdrawn_at is not None


def _version_required(reason: str) -> Invalid:
    return Invalid(
        f"{reason}Read the terms at {settings.PUBLIC_URL}/terms/ and agree by naming their version, "
        f"tos_version {TERMS.version}.",
        code="terms_version",
        field="tos_version",
    )


def _set(user: User, changes: dict[str, Any]) -> None:
    if changes:
        for name, value in changes.items():
            setattr(user, name, value)
        user.save(update_fields=list(changes))
