"""Create users."""

from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from oasst.accounts import names, suspensions
from oasst.accounts.account_bans import suspend_if_returning
from oasst.accounts.email_addresses import clean_email
from oasst.accounts.email_owners import drop_unverified_claims, find_owner
from oasst.accounts.models import Role, User
from oasst.accounts.site_settings.reading import current
from oasst.core.errors import Conflict, Invalid, NotAllowed
from oasst.core.text.validation import clean_name


def create_user(
    *,
    email: str | None,
    display_name: str = "",
    role: str = Role.GENERAL,
    password: str | None = None,
    vary_name: bool = False,
) -> User:
    """Return a new user. The caller vouches for the address: a code reached it, or an operator entered it.

    Without a display name the user gets a friendly one. With `vary_name` the user did not choose the name, and gets a
    variation if it is taken. Raise Conflict `email_taken`, and Invalid for a wrong address, role or name, or
    `name_taken`.
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
                names.set_own_name(user, names.free_name(name))
            else:
                names.claim_name(user, name)
            user.save(force_insert=True)
            if address:
                EmailAddress.objects.create(user=user, email=address, verified=True, primary=True)
    except IntegrityError as error:
        raise (names.name_taken_error() if names.is_name_conflict(error) else taken) from error
    return user


def require_open_sign_up() -> None:
    """Raise NotAllowed `sign_up_closed` if people cannot sign up now. Operators and API clients still add people."""
    if not current().takes_new_people:
        raise NotAllowed(
            _("This site takes no new people at the moment. If you have an account, sign in with its address."),
            code="sign_up_closed",
        )


def get_or_create_by_email(email: str) -> User:
    """Return the user who has just verified this address; create them if there is none.

    Unverified claims of other users to the address are removed, so that nobody else can sign in to the account.
    Raise NotAllowed `sign_up_closed` for somebody new while the site takes nobody.
    """
    address = clean_email(email)
    with transaction.atomic():
        user = find_owner(address)
        is_new = user is None
        if user is None:
            require_open_sign_up()
            drop_unverified_claims(address)
            try:
                user = create_user(email=address)
            except Conflict:  # a concurrent request created the same user
                user = find_owner(address)
                if user is None:
                    raise
        _row, created = EmailAddress.objects.get_or_create(
            user=user, email=address, defaults={"verified": True, "primary": user.email == address}
        )
        if not created:
            EmailAddress.objects.filter(user=user, email=address, verified=False).update(verified=True)
        if is_new:
            suspend_if_returning(user, [suspensions.address_name(address)])
    return user
