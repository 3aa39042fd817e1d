"""People as API clients name them: `(auth_method, username)` inside one client, never across clients.

The site does not sign these people in; their client vouches for who they are.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from oasst.accounts import hot, names, suspensions
from oasst.accounts.account_bans import suspend_if_known
from oasst.accounts.closing import close_account
from oasst.accounts.consent import TERMS_DOCUMENT, accept_terms
from oasst.accounts.documents import TERMS
from oasst.accounts.locks import lock_user
from oasst.accounts.models import ApiClient, Consent, Identity, Role, User
from oasst.accounts.names import tidy_name
from oasst.core import ratelimit
from oasst.core.errors import Invalid, NotAllowed, NotFound

AUTH_METHODS = ("discord", "google", "local", "system")
ME = ("local", "me")
"""How a person names themselves through their own tokens."""
SYSTEM = "system"  # programs that write in their own name: imports, models


def find_person(client: ApiClient, auth_method: str, username: str) -> User | None:
    """The person whom this client knows by this name. One statement."""
    person = hot.find_person(client.pk, auth_method, username)
    if person is not None:
        person.vouched_for = client.person_id is None
    return person


def person_for(client: ApiClient, *, auth_method: str, username: str, display_name: str) -> User:
    """As `find_person`; creates who is unknown, and renames who calls themselves otherwise now. Whoever was suspended
    under this name, and is unknown because the account was closed, comes back suspended.

    A person's own token only speaks for that person, who has a name already. Raises Invalid `identity_incomplete`
    without a username, NotAllowed `foreign_person`, Busy `rate_limited` where a program that is not trusted brings too
    many new people.
    """
    if not username:
        raise Invalid("A user needs an id: what the sign-in service calls them.", code="identity_incomplete")
    name = tidy_name(display_name)
    person = find_person(client, auth_method, username)
    if client.person_id is not None:
        if person is None:
            raise NotAllowed(
                "Your token acts for you alone: name the user with the auth_method local and the id me.",
                code="foreign_person",
            )
        return person
    if person is None:
        return _create(client, auth_method, username, name)
    # Who also signs in here has said here what they want to be called.
    if name and name != person.display_name and person.email is None and person.is_active and not person.owns_name:
        _rename(person, client, name)
    return person


def speak_for(client: ApiClient, given: dict[str, Any]) -> User:
    """The person whom a body names, made known if need be. Raises Invalid `identity_incomplete`."""
    return person_for(
        client, auth_method=given["auth_method"], username=given["id"], display_name=given["display_name"]
    )


@transaction.atomic
def _rename(person: User, client: ApiClient, name: str) -> None:
    lock_user(person)  # before the lock of the name, in the order of everybody
    names.call(person, name, client)
    person.save(update_fields=names.FIELDS)


def _create(client: ApiClient, auth_method: str, username: str, name: str) -> User:
    if not client.trusted:
        ratelimit.spend(ratelimit.NEW_PEOPLE_OF_PROGRAM, client.pk)
    by_a_program = auth_method == SYSTEM
    try:
        with transaction.atomic():
            person = User(show_on_leaderboard=not by_a_program, streak_started_at=timezone.now())
            names.call(person, name, client)
            person.set_unusable_password()
            person.save(force_insert=True)
            Identity.objects.create(user=person, api_client=client, auth_method=auth_method, username=username)
            suspend_if_known(person, [suspensions.identity(client.pk, auth_method, username)])
            if by_a_program:
                accept_terms(person)
    except IntegrityError:  # the same person, by another request of this moment
        known = find_person(client, auth_method, username)
        if known is None:
            raise
        return known
    person.vouched_for = True
    return person


# --- What clients may see of people ---

# Through their own tokens all people have one name, which tells nothing.
_SEEN_BY_TRUSTED = Q(api_client__person=None)


def identities_for(client: ApiClient, api_client_id: UUID | None = None) -> QuerySet[Identity]:
    """The identities that this client may see, with their people: its own; all of them when it is trusted.

    Raises NotAllowed `foreign_client` when it names another client without being trusted.
    """
    if api_client_id is not None and api_client_id != client.pk and not client.trusted:
        raise NotAllowed("Another API client's data is for trusted clients.", code="foreign_client")
    found = Identity.objects.select_related("user").annotate(terms_accepted_at=_terms_accepted_at("user_id", "user__"))
    if api_client_id is not None:
        return found.filter(api_client_id=api_client_id)
    return found.filter(_SEEN_BY_TRUSTED) if client.trusted else found.filter(api_client=client)


def _terms_accepted_at(person: str, prefix: str) -> Subquery:
    """When the terms were accepted that are in force for this person."""
    consents = Consent.objects.filter(user=OuterRef(person), document=TERMS_DOCUMENT, withdrawn_at=None)
    in_force = consents.filter(version=OuterRef(f"{prefix}terms_version")).order_by("-accepted_at")
    return Subquery(in_force.values("accepted_at")[:1])


def front_end_user(identity: Any, client: ApiClient) -> dict[str, Any]:
    """A person as the wire shows them, from a row of `identities_for`."""
    shown = identity.auth_method, identity.username, identity.terms_accepted_at
    return _shown(identity.user, *shown, notes=client.trusted)


def _shown(
    person: User, auth_method: str, username: str, terms_accepted_at: datetime | None, *, notes: bool
) -> dict[str, Any]:
    return {
        "id": username,
        "display_name": person.display_name,
        "auth_method": auth_method,
        "user_id": person.pk,
        "enabled": person.enabled,
        "deleted": person.deleted_at is not None,
        # Written by moderators for moderators, so other people's programs do not read them.
        "notes": person.notes if notes else "",
        "created_date": person.created_at,
        "show_on_leaderboard": person.show_on_leaderboard,
        "streak_days": person.streak_days,
        "streak_last_day_date": person.streak_started_at,
        "last_activity_date": person.last_activity_at,
        "tos_acceptance_date": terms_accepted_at,
    }


def show_people(client: ApiClient, ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """These people by their ids, as the wire shows them; the name that this client has for somebody goes first."""
    found: dict[UUID, dict[str, Any]] = {}
    identities = identities_for(client).filter(user_id__in=ids).order_by("created_at", "id")
    for identity in sorted(identities, key=lambda one: one.api_client_id != client.pk):
        found.setdefault(identity.user_id, front_end_user(identity, client))
    if client.trusted and len(found) < len(ids):
        nameless = User.objects.filter(pk__in=set(ids) - found.keys())
        for person in nameless.annotate(terms_accepted_at=_terms_accepted_at("pk", "")):
            name = f"deleted_{person.pk}" if person.deleted_at else str(person.pk)
            found[person.pk] = _shown(person, "local", name, person.terms_accepted_at, notes=True)
    return found


def get_person_for(client: ApiClient, user_id: UUID, api_client_id: UUID | None = None) -> dict[str, Any]:
    """One person as the wire shows them. Trusted clients also see people without an identity: those who sign in here.
    Raises NotFound, and NotAllowed as `identities_for`.
    """
    if api_client_id is not None:
        identity = identities_for(client, api_client_id).filter(user_id=user_id).order_by("created_at", "id").first()
        if identity is not None:
            return front_end_user(identity, client)
    elif found := show_people(client, [user_id]):
        return found[user_id]
    raise _unknown()


def get_identity_for(client: ApiClient, auth_method: str, username: str, api_client_id: UUID | None = None) -> Identity:
    """The person of this name at the calling client, or at the named one. Raises as `get_person_for`."""
    found = identities_for(client, api_client_id or client.pk).filter(auth_method=auth_method, username=username)
    identity = found.first()
    if identity is None:
        raise _unknown()
    identity.user.vouched_for = client.person_id is None
    return identity


def people_called(auth_method: str, username: str, client: ApiClient) -> QuerySet[User]:
    """Whom this client may mean by the name: a trusted one also the people of others."""
    found = Identity.objects.filter(auth_method=auth_method, username=username)
    own = found.filter(_SEEN_BY_TRUSTED) if client.trusted else found.filter(api_client=client)
    return User.objects.filter(identities__in=own)


def _unknown() -> NotFound:
    return NotFound("There is no such user.", code="user_not_found")


# --- What clients may change of people ---


@transaction.atomic
def upsert_person(client: ApiClient, body: dict[str, Any]) -> dict[str, Any]:
    """Create or rename, and set what the body names. What it leaves out stays as it is.

    `enabled` is no part of it: a sign-in must not lift a ban. Notes and the leaderboard are for trusted clients,
    terms for every client and its own people; a person's own token has to name the version that they agree to. Raises
    Invalid, NotAllowed `not_trusted`.
    """
    person = speak_for(client, body)
    if body["tos_acceptance"]:
        # A program answers for what it showed its people. Of a token nobody knows what its person has read.
        _accept_terms_once(person, body["tos_version"], is_optional=client.person_id is None)
    wanted = {name: body[name] for name in ("show_on_leaderboard", "notes") if body[name] is not None}
    changes = {name: value for name, value in wanted.items() if value != getattr(person, name)}
    banned = body["enabled"] is not None and body["enabled"] != person.enabled
    if (changes or banned) and not client.trusted:
        raise NotAllowed("Only trusted clients change more of a user than the name.", code="not_trusted")
    if banned:
        raise NotAllowed("A ban is set and lifted with PUT /users/{user_id}, not in passing.", code="not_trusted")
    _set(person, changes)
    return front_end_user(get_identity_for(client, body["auth_method"], body["id"]), client)


@transaction.atomic
def update_person(client: ApiClient, user_id: UUID, changes: dict[str, Any]) -> User:
    """Set what a trusted client names: display_name, notes, show_on_leaderboard, and of its own people tos_acceptance
    with tos_version. Gives the person.

    Raises NotFound, Invalid `terms_version`, NotAllowed `not_trusted` for staff, who are looked after in the admin, and
    `foreign_person` where it agrees to the terms for somebody whom it does not know by a name.
    """
    person = lock_general(user_id)
    version = changes.pop("tos_version", None)
    if changes.pop("tos_acceptance", None):
        if not Identity.objects.filter(user=person, api_client=client).exists():
            raise NotAllowed(
                "Agree to the terms for your own users only. Others do so here, or by the program that knows them.",
                code="foreign_person",
            )
        _accept_terms_once(person, version)
    if "display_name" in changes:
        names.call(person, tidy_name(changes.pop("display_name")), client)
        person.save(update_fields=names.FIELDS)
    _set(person, changes)
    return person


@transaction.atomic
def delete_person(user_id: UUID) -> None:
    """Erase who this was and keep what was given; the name is free for somebody new, who is suspended from the
    start if this person was. Raises as `update_person`."""
    close_account(lock_general(user_id))


def require_general(user_id: UUID, people: QuerySet[User] | None = None) -> User:
    """A person without an office: programs do not touch staff. Raises NotFound, NotAllowed `not_trusted`."""
    person = (User.objects.all() if people is None else people).filter(pk=user_id).first()
    if person is None:
        raise _unknown()
    if person.role != Role.GENERAL:
        raise NotAllowed("Moderators and administrators are looked after in the admin.", code="not_trusted")
    return person


def lock_general(user_id: UUID) -> User:
    """As `require_general`; the row is held until the open transaction ends."""
    return require_general(user_id, User.objects.select_for_update(no_key=True))


def _accept_terms_once(person: User, version: str | None, *, is_optional: bool = True) -> None:
    """Record that this person agrees to the terms in force. `version` is the one that was read. Raises Invalid
    `terms_version` for another one, and for none where it is not optional or the person has withdrawn their consent.
    """
    if version != TERMS.version and (version or not is_optional):
        raise _name_the_version(f"Version {version[:32]} of the terms is not in force. " if version else "")
    if person.terms_version == TERMS.version:
        return
    lock_user(person)  # so that nobody withdraws between the question and its answer
    if not version and _has_withdrawn(person):
        raise _name_the_version("This person withdrew their consent. ")
    accept_terms(person)


def _has_withdrawn(person: User) -> bool:
    newest = Consent.objects.filter(user=person, document=TERMS_DOCUMENT).order_by("-accepted_at").first()
    return newest is not None and newest.withdrawn_at is not None


def _name_the_version(reason: str) -> Invalid:
    return Invalid(
        f"{reason}Read the terms at {settings.PUBLIC_URL}/terms/ and agree by naming their version, "
        f"tos_version {TERMS.version}.",
        code="terms_version",
        field="tos_version",
    )


def _set(person: User, changes: dict[str, Any]) -> None:
    if changes:
        for name, value in changes.items():
            setattr(person, name, value)
        person.save(update_fields=list(changes))
