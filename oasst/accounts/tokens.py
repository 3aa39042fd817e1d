"""Users' own tokens. A program with a token acts as that user, in all APIs."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from oasst.accounts.access import require_contributor
from oasst.accounts.api_clients import visible_prefix
from oasst.accounts.identities import SELF
from oasst.accounts.locks import lock_user
from oasst.accounts.models import ApiClient, Identity, Secret, Token, User
from oasst.core import ratelimit
from oasst.core.errors import Conflict, Invalid, NotFound
from oasst.core.text.validation import clean_line

MAX_TOKENS = 10
"""Valid tokens per user."""
NAME_LENGTH = 60
DAYS = (7, 30, 90, 365)
"""Lifetimes to choose from; None means that the token never expires."""


def tokens_of(user: User) -> QuerySet[Token]:
    """Return all tokens of the user, also expired ones, the newest first."""
    return user.tokens.order_by("-created_at", "-id")


@transaction.atomic
def create_token(user: User, *, name: str, days: int | None) -> tuple[Token, str]:
    """Return a new token with its secret, which is stored only as a hash.

    Raise NotAllowed as `require_contributor`, Invalid (the name, the days), Conflict `too_many_tokens`, Busy.
    """
    require_contributor(user)
    ratelimit.count_use(ratelimit.NEW_TOKENS, user.pk)
    name = clean_line(name, limit=NAME_LENGTH, field="name")
    if days is not None and days not in DAYS:
        raise Invalid(
            f"A token is good for {', '.join(map(str, DAYS))} days, or without end.", code="days", field="days"
        )
    lock_user(user)
    valid = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    if user.tokens.filter(valid).count() >= MAX_TOKENS:
        raise Conflict(f"You have {MAX_TOKENS} tokens. Please revoke one of them first.", code="too_many_tokens")
    return new_token(user, name, expires_at=None if days is None else timezone.now() + timedelta(days=days))


def revoke_token(user: User, token_id: UUID) -> None:
    """Delete a token of the user. Raise NotFound if they have no such token."""
    if not user.tokens.filter(pk=token_id).delete()[0]:
        raise NotFound("You have no such token.", code="token_not_found")


@transaction.atomic
def new_token(user: User, name: str = "", *, expires_at: datetime | None = None) -> tuple[Token, str]:
    """Return a new token with its secret, without any check."""
    secret = Secret.new_secret()
    token = Token.objects.create(
        user=user, name=name, prefix=visible_prefix(secret), digest=Secret.digest_of(secret), expires_at=expires_at
    )
    client, _ = ApiClient.objects.get_or_create(person=user, defaults={"name": "Own programs of a person"})
    auth_method, username = SELF
    Identity.objects.get_or_create(
        api_client=client, auth_method=auth_method, username=username, defaults={"user": user}
    )
    return token, secret
