"""New people, and whoever proves that a mailbox is theirs."""

from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction

from oasst.accounts import names, suspensions
from oasst.accounts.account_bans import suspend_if_known
from oasst.accounts.email_addresses import clean_email
from oasst.accounts.email_owners import drop_unproven_claims, find_owner
from oasst.accounts.models import Role, User
from oasst.core.errors import Conflict, Invalid
from oasst.core.text.validation import clean_name


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


def person_behind(email: str) -> User:
    """The person who just proved that this mailbox is theirs; a new one if nobody is known by it.

    Whoever claimed the address without proof loses it: the account that was waiting for its owner must not be one
    that somebody else can also enter.
    """
    address = clean_email(email)
    with transaction.atomic():
        user = find_owner(address)
        is_new = user is None
        if user is None:
            drop_unproven_claims(address)
            try:
                user = create_user(email=address)
            except Conflict:  # the same person, through a second window
                user = find_owner(address)
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
