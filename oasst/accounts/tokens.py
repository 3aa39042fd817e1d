"""A person's own keys. A program that has one acts as that person, on the wire and at `/v1` as OpenAI has it."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from oasst.accounts.access import require_contributor
from oasst.accounts.api_clients import prefix_of
from oasst.accounts.identities import ME
from oasst.accounts.locks import lock_user
from oasst.accounts.models import ApiClient, Identity, Secret, Token, User
from oasst.core import ratelimit
from oasst.core.errors import Conflict, Invalid, NotFound
from oasst.core.text.validation import clean_line

MOST_TOKENS = 10
"""Valid ones of one person."""
NAME_LENGTH = 60
DAYS = (7, 30, 90, 365)
"""For how long a token may be made; None stands for no end."""


def tokens_of(user: User) -> QuerySet[Token]:
    """Newest first, also those that have expired."""
    return user.tokens.order_by("-created_at", "-id")


@transaction.atomic
def create_token(user: User, *, name: str, days: int | None) -> tuple[Token, str]:
    """One more token, with the secret that is told only now.

    Raises NotAllowed as for any contribution, Invalid (the name, the days), Conflict `too_many_tokens`, Busy.
    """
    require_contributor(user)
    ratelimit.spend(ratelimit.NEW_TOKENS, user.pk)
    name = clean_line(name, limit=NAME_LENGTH, field="name")
    if days is not None and days not in DAYS:
        raise Invalid(
            f"A token is good for {', '.join(map(str, DAYS))} days, or without end.", code="days", field="days"
        )
    lock_user(user)
    valid = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    if user.tokens.filter(valid).count() >= MOST_TOKENS:
        raise Conflict(f"You have {MOST_TOKENS} tokens. Please revoke one of them first.", code="too_many_tokens")
    return new_token(user, name, expires_at=None if days is None else timezone.now() + timedelta(days=days))


def revoke_token(user: User, token_id: UUID) -> None:
    """From now on nobody gets in with it. Raises NotFound for what is no token of this person."""
    if not user.tokens.filter(pk=token_id).delete()[0]:
        raise NotFound("You have no such token.", code="token_not_found")


@transaction.atomic
def new_token(user: User, name: str = "", *, expires_at: datetime | None = None) -> tuple[Token, str]:
    """A token without asking whether there are too many."""
    secret = Secret.new_secret()
    token = Token.objects.create(
        user=user, name=name, prefix=prefix_of(secret), digest=Secret.digest_of(secret), expires_at=expires_at
    )
    own, _ = ApiClient.objects.get_or_create(person=user, defaults={"name": "Own programs of a person"})
    auth_method, username = ME
    Identity.objects.get_or_create(api_client=own, auth_method=auth_method, username=username, defaults={"user": user})
    return token, secret
