"""What happens to people, the programs that speak for them, and the keys of both."""

import zoneinfo
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from oasst.accounts import names, suspensions
from oasst.accounts.access import require_contributor, require_member
from oasst.accounts.authentication import second_factor
from oasst.accounts.documents import TERMS
from oasst.accounts.email_addresses import refusal
from oasst.accounts.models import (
    ApiClient,
    ApiKey,
    Ban,
    Consent,
    Identity,
    ProgramSession,
    Role,
    Secret,
    Session,
    SignInLink,
    Token,
    User,
)
from oasst.core.after_commit import enqueue_by_name
from oasst.core.errors import Conflict, Gone, Invalid, NotAllowed, NotFound
from oasst.core.locks import advisory_lock
from oasst.core.ratelimit import PROFILE_CHANGES, spend
from oasst.core.text.validation import clean_language_tag, clean_line, clean_name, clean_reason

TERMS_DOCUMENT = "terms"
DELETED_NAME = "Deleted User"
END_OF_VOICE = "trees.jobs.follow_standing"  # of an app above this one
MOST_VALID_KEYS = 2
NO_TIME_ZONE = "UTC"  # until one is chosen
_MAX_CONTRIBUTION_LANGUAGES = 20
_RANKS = {Role.GENERAL: 0, Role.MODERATOR: 1, Role.ADMIN: 2}


# --- People ---


def create_user(
    *,
    email: str | None,
    display_name: str = "",
    role: str = Role.GENERAL,
    password: str | None = None,
    vary_name: bool = False,
) -> User:
    """A new person. The caller vouches for the address: a code reached it, or an operator typed it.

    Without a display name the person gets a friendly one. `vary_name` says that nobody chose the name: where somebody
    has it, the person gets a variation. Without a password there is none to guess.
    Raises `Conflict` `email_taken`, or `Invalid` for what is no address, no role or no name, and `name_taken`.
    """
    if role not in Role.values:
        raise Invalid(f"A role is one of {', '.join(Role.values)}.", code="role", field="role")
    address = clean_email(email) if email else None
    name = clean_name(display_name) if display_name else names.friendly_name()
    taken = Conflict("This e-mail address already has an account.", code="email_taken", field="email")
    if address and EmailAddress.objects.filter(email=address, verified=True).exists():
        raise taken
    try:
        with transaction.atomic():
            user = User(email=address, role=role)
            user.set_password(password)
            if vary_name or not display_name:
                names.own(user, names.free_name(name))
            else:
                names.claim(user, name)
            user.save(force_insert=True)
            if address:
                EmailAddress.objects.create(user=user, email=address, verified=True, primary=True)
    except IntegrityError as error:
        raise (names.taken() if names.is_clash(error) else taken) from error
    return user


def clean_email(value: str) -> str:
    address = value.strip().lower()
    if reason := refusal(address):
        raise Invalid(reason, code="email", field="email")
    return address


def find_person(email: str) -> User | None:
    """Whose mailbox this is, as far as it was ever proven.

    Compared exactly, in the lower case in which addresses are stored: PostgreSQL also takes ı for i and ſ for s when
    it ignores case, and the mail to `gmaıl.com` goes to somebody else than the one to `gmail.com`.
    """
    email = email.lower()
    address = EmailAddress.objects.filter(email=email, verified=True).select_related("user").first()
    if address:
        return address.user
    # An address that only stands on the person was given by an operator; one that somebody else typed in and never
    # proved has an unverified row beside it.
    unproven = EmailAddress.objects.filter(email=email, verified=False)
    return User.objects.filter(email=email).exclude(pk__in=unproven.values("user")).first()


def person_behind(email: str) -> User:
    """The person who just proved that this mailbox is theirs; a new one if nobody is known by it.

    Whoever claimed the address without proof loses it: the account that was waiting for its owner must not be one
    that somebody else can also enter.
    """
    address = clean_email(email)
    with transaction.atomic():
        user = find_person(address)
        is_new = user is None
        if user is None:
            drop_unproven_claims(address)
            try:
                user = create_user(email=address)
            except Conflict:  # the same person, through a second window
                user = find_person(address)
                if user is None:
                    raise
        _, new = EmailAddress.objects.get_or_create(
            user=user, email=address, defaults={"verified": True, "primary": user.email == address}
        )
        if not new:
            EmailAddress.objects.filter(user=user, email=address, verified=False).update(verified=True)
        if is_new:
            suspend_if_known(user, [suspensions.address(address)])
    return user


def suspend_if_known(user: User, known_as: Iterable[str]) -> None:
    """Suspend a new account whose owner was suspended under one of these names (see `suspensions`) before.

    The person hears it after they proved who they are, never earlier, and from the same page as everybody.
    """
    known = suspensions.find(known_as)
    if known is None or not user.enabled:
        return
    shut_out(user, actor=None, reason=known.reason)
    user.notes = f"Signed up again after a suspension. The account before: {known.user_id or 'unknown'}."
    user.save(update_fields=["notes"])


@transaction.atomic
def drop_unproven_claims(email: str, *, but_of: User | None = None) -> None:
    """Whoever else claims this address without proof loses it, since its owner is here. Proven claims stay."""
    if find_person(email) is None:
        owners = [but_of.pk] if but_of else []
        User.objects.filter(email=email).exclude(pk__in=owners).update(email=None)
        EmailAddress.objects.filter(email=email, verified=False).exclude(user__in=owners).delete()


def raise_listed_role(user: User) -> None:
    """Give the role that ADMIN_EMAILS or MODERATOR_EMAILS names for one of the person's proven addresses.

    Only ever raises: taking an address off the list is no demotion, an administrator does that.
    """
    if not settings.ADMIN_EMAILS and not settings.MODERATOR_EMAILS:
        return
    addresses = {
        email.lower() for email in EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    }
    role = Role.GENERAL
    if addresses & set(settings.ADMIN_EMAILS):
        role = Role.ADMIN
    elif addresses & set(settings.MODERATOR_EMAILS):
        role = Role.MODERATOR
    if _RANKS[role] > _RANKS[Role(user.role)]:
        user.role = role
        user.save(update_fields=["role"])


def update_profile(
    user: User,
    *,
    display_name: str,
    time_zone: str,
    interface_language: str,
    contribution_languages: Iterable[str],
    show_on_leaderboard: bool | None = None,
) -> None:
    languages = _clean_languages(contribution_languages)
    if time_zone not in zoneinfo.available_timezones():
        raise Invalid("This is not a time zone.", code="time_zone", field="time_zone")
    name = clean_name(display_name)
    spend(PROFILE_CHANGES, user.pk)
    user.time_zone = time_zone
    user.interface_language = clean_language_tag(interface_language, field="interface_language")
    user.contribution_languages = languages
    if show_on_leaderboard is not None:
        user.show_on_leaderboard = show_on_leaderboard
    fields = ["time_zone", "interface_language", "contribution_languages", "show_on_leaderboard"]
    with names.taken_if_it_clashes(user):
        if name != user.display_name:  # names of before they were unique stand until they are changed
            names.claim(user, name)
            fields += names.FIELDS
        user.save(update_fields=fields)


def choose_languages(user: User, tags: Iterable[str]) -> None:
    """The languages that this person writes in, the first one first. Raises Invalid (`language`, `none_chosen`,
    `too_many`), Busy.
    """
    languages = _clean_languages(tags)
    if not languages:
        raise Invalid("Please choose at least one language.", code="none_chosen", field="languages")
    spend(PROFILE_CHANGES, user.pk)
    user.contribution_languages = languages
    user.save(update_fields=["contribution_languages"])


def choose_work_language(user: User, tag: str) -> None:
    """Remember which of their languages this person works in. Raises Invalid `not_yours`, Busy."""
    spend(PROFILE_CHANGES, user.pk)
    if tag not in user.contribution_languages:
        raise Invalid("This is none of your languages. You can add it in your profile.", code="not_yours", field="lang")
    user.work_language = tag
    user.save(update_fields=["work_language"])


def propose_time_zone(user: User, time_zone: str) -> None:
    """Take the time zone that a new person's browser names. What is none is passed by.

    Whoever chose their languages is not new, and may have chosen UTC.
    """
    is_new = user.time_zone == NO_TIME_ZONE and not user.contribution_languages
    if is_new and time_zone in zoneinfo.available_timezones():
        user.time_zone = time_zone
        user.save(update_fields=["time_zone"])


def _clean_languages(tags: Iterable[str]) -> list[str]:
    """Each once, in the order given."""
    languages = [clean_language_tag(tag, field="contribution_languages") for tag in tags]
    if len(languages) > _MAX_CONTRIBUTION_LANGUAGES:
        raise Invalid(
            f"Please choose at most {_MAX_CONTRIBUTION_LANGUAGES} languages.",
            code="too_many",
            field="contribution_languages",
        )
    return list(dict.fromkeys(languages))


# --- Consent ---


@transaction.atomic
def accept_terms(user: User) -> None:
    """Record that this person agrees to the terms as they are now. Agreeing twice leaves one record."""
    lock_user(user)
    Consent.objects.get_or_create(user=user, document=TERMS_DOCUMENT, version=TERMS.version, withdrawn_at=None)
    user.terms_version = TERMS.version
    user.save(update_fields=["terms_version"])


@transaction.atomic
def withdraw_terms(user: User) -> None:
    """From now on this person agrees to nothing. What was given before stays under the terms of then."""
    lock_user(user)
    Consent.objects.filter(user=user, document=TERMS_DOCUMENT, withdrawn_at=None).update(withdrawn_at=timezone.now())
    user.terms_version = ""
    user.save(update_fields=["terms_version"])


# --- The end of an account, for a while or for good ---


@transaction.atomic
def close_account(user: User) -> None:
    """Erase who this was and keep what was given. Final; doing it twice changes nothing.

    The row stays without a name, because texts and rankings point to it. Every way in goes: addresses, linked
    accounts, identities at API clients, tokens, second factors, sessions, the password. Of somebody who is suspended
    keyed hashes of them stay. What their complaints hid is shown again where too few others say the same, by a job.
    Raises Conflict `last_administrator`.
    """
    if User.objects.filter(pk=user.pk, role=Role.ADMIN).exists():
        lock_administrators()  # before the row, in the order of everybody
    user = lock_user(user)
    if user.deleted_at is not None and not user.is_active:  # a purge by a program sets the date and erases nothing
        return
    _require_another_administrator(user)
    if not user.enabled:
        suspensions.remember(user)
    withdraw_terms(user)
    EmailAddress.objects.filter(user=user).delete()
    SocialAccount.objects.filter(user=user).delete()
    Identity.objects.filter(user=user).delete()
    Token.objects.filter(user=user).delete()
    ProgramSession.objects.filter(user=user).delete()
    SignInLink.objects.filter(user=user).delete()
    second_factor.remove_all(user)
    Session.end_all_of(user)
    user.email = None
    names.forget(user, DELETED_NAME)
    user.role = Role.GENERAL
    user.notes = ""
    user.time_zone = NO_TIME_ZONE
    user.interface_language = "en"
    user.contribution_languages = []
    user.work_language = ""
    user.show_on_leaderboard = False
    user.is_active = False
    user.deleted_at = timezone.now()
    user.set_unusable_password()
    user.save()
    enqueue_by_name(END_OF_VOICE, str(user.pk))


@transaction.atomic
def ban(user: User, *, actor: User, reason: str) -> None:
    """Shut this person out. The reason is shown to them; banning again changes it.

    Only people of a lower rank can be banned, so that nobody bans themselves and an administrator always stays.
    Raises NotAllowed (`moderators_only`, `rank`) or Invalid (the reason).
    """
    reason = clean_reason(reason)
    user = lock_user(user)
    require_higher_rank(actor, user)
    shut_out(user, actor=actor, reason=reason)


@transaction.atomic
def unban(user: User, *, actor: User, reason: str) -> None:
    """Let this person in again. Raises NotAllowed as `ban` does, Invalid (the reason), or Conflict `not_banned`."""
    reason = clean_reason(reason)
    user = lock_user(user)
    require_higher_rank(actor, user)
    if user.enabled:
        raise Conflict("This person is not banned.", code="not_banned")
    let_in(user, actor=actor, reason=reason)


def shut_out(user: User, *, actor: User | None, reason: str) -> None:
    """What a ban writes. Who may do it was asked before, and the person's row is locked; without an actor it was a
    program, which the reason names, or the operator. Raises Conflict `last_administrator`.
    """
    _require_another_administrator(user)
    user.enabled, user.ban_reason, user.banned_at = False, reason, timezone.now()
    user.save(update_fields=["enabled", "ban_reason", "banned_at"])
    Ban.objects.create(user=user, actor=actor, reason=reason, at=user.banned_at)
    suspensions.remember(user)


def let_in(user: User, *, actor: User | None, reason: str) -> None:
    """What the end of a ban writes, as `shut_out`. Also whom a program's purge marked as gone is back."""
    user.enabled, user.ban_reason, user.banned_at = True, "", None
    if user.is_active:
        user.deleted_at = None
    user.save(update_fields=["enabled", "ban_reason", "banned_at", "deleted_at"])
    Ban.objects.filter(user=user, lifted_at=None).update(lifted_at=timezone.now(), lifted_by=actor, lift_reason=reason)
    suspensions.forget(user)


def lock_administrators() -> None:
    """Decisions about administrators go one after the other, until the open transaction ends. Taken before the row of
    a person.
    """
    advisory_lock("administrators")


def is_last_administrator(user: User) -> bool:
    """Would the site be without an administrator if it lost this person? Exact while `lock_administrators` is held."""
    if user.role != Role.ADMIN or not (user.enabled and user.is_active):
        return False
    others = User.objects.filter(role=Role.ADMIN, enabled=True, is_active=True, deleted_at=None).exclude(pk=user.pk)
    return not others.exists()


def _require_another_administrator(user: User) -> None:
    if user.role == Role.ADMIN:
        lock_administrators()
        if is_last_administrator(user):
            raise Conflict(
                "This is the last administrator of the site. Make somebody else administrator first.",
                code="last_administrator",
            )


def require_higher_rank(actor: User, user: User) -> None:
    """Refuse whoever may not decide about this person: NotAllowed `moderators_only` or `rank`."""
    if not (actor.is_active and actor.is_staff):
        raise NotAllowed("This is for moderators.", code="moderators_only")
    if not has_higher_rank(actor, user):
        raise NotAllowed("This needs somebody of a higher rank than theirs.", code="rank")


def has_higher_rank(actor: User, user: User) -> bool:
    return _RANKS[Role(actor.role)] > _RANKS[Role(user.role)]


def lock_user(user: User) -> User:
    """The person's row, fresh and held until the open transaction ends. The caller's object is brought up to date."""
    user.refresh_from_db(from_queryset=User.objects.select_for_update(no_key=True))
    return user


def require_member_now(user: User) -> None:
    """As `access.require_member`, and as exact as `require_contributor_now`."""
    advisory_lock("person", user.pk)
    user.refresh_from_db()
    require_member(user)


def require_contributor_now(user: User) -> None:
    """As `access.require_contributor`, but exact until the open transaction ends: whoever bans this person and then
    takes the same lock sees all that this transaction stored, and nothing is stored afterwards.
    """
    advisory_lock("person", user.pk)
    user.refresh_from_db()
    require_contributor(user)


# --- Programs and keys ---


@transaction.atomic
def create_api_client(
    *, name: str, trusted: bool = False, key: str | None = None, frontend_type: str = "", admin_email: str = ""
) -> tuple[ApiClient, str]:
    """A new program and its first key, which is told only now. `key` sets a key that the program already has."""
    client = ApiClient.objects.create(
        name=clean_line(name, limit=256, field="name"),
        trusted=trusted,
        frontend_type=frontend_type,
        admin_email=admin_email,
    )
    return client, new_api_key(client, key=key)[1]


@transaction.atomic
def new_api_key(
    client: ApiClient, *, name: str = "", key: str | None = None, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """A key for this program, which is told only now. The one before stays valid until it expires or is revoked, so
    that a program can change keys without a gap. Raises NotAllowed, Invalid (`key`, `expires`), Conflict (`key_taken`,
    `too_many_keys`).
    """
    if client.person_id is not None:
        raise NotAllowed("A person's own program has tokens and no key.", code="not_trusted")
    _lock_client(client)
    if valid_keys(client).count() >= MOST_VALID_KEYS:
        raise Conflict(
            f"This program has {MOST_VALID_KEYS} valid keys. Revoke one of them first.", code="too_many_keys"
        )
    _refuse_past(expires_at)
    secret = key if key is not None else Secret.new_secret()
    if not secret.isascii() or not secret.isprintable() or " " in secret or not 0 < len(secret) <= 200:
        raise Invalid("A key has 1 to 200 ASCII characters and no blanks.", code="key", field="key")
    try:
        with transaction.atomic():
            made = ApiKey.objects.create(
                api_client=client,
                name=clean_line(name, limit=100, field="name") if name else "",
                prefix=prefix_of(secret),
                digest=Secret.digest_of(secret),
                expires_at=expires_at,
            )
    except IntegrityError as error:
        raise Conflict("This key is already in use.", code="key_taken", field="key") from error
    return made, secret


def valid_keys(client: ApiClient) -> QuerySet[ApiKey]:
    return client.keys.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


@transaction.atomic
def expire_api_key(client: ApiClient, key_id: UUID, at: datetime | None = None) -> ApiKey:
    """Let a valid key end at this time, by default now, which revokes it. It stays in the list as what it was.

    Raises NotFound, Gone `key_expired`, Invalid `expires`, Conflict `last_key`: a program that locks itself out can not
    mend it.
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
    key.expires_at = at or timezone.now()
    key.save(update_fields=["expires_at"])
    return key


def _lock_client(client: ApiClient) -> None:
    ApiClient.objects.select_for_update(no_key=True).get(pk=client.pk)


def _refuse_past(at: datetime | None) -> None:
    if at is not None and at <= timezone.now():
        raise Invalid("The time at which a key expires lies in the future.", code="expires", field="expires_date")


def prefix_of(secret: str) -> str:
    """Enough to tell keys apart. Of a short key, which somebody chose, not enough to guess the rest."""
    return secret[: min(8, len(secret) // 4)]
