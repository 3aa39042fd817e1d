"""Operations for operators: API clients, settings, purging and merging users. They use several apps."""

import time
from collections.abc import Callable
from typing import Any, get_type_hints
from uuid import UUID

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone
from rest_framework import serializers

from oasst.accounts import api_clients
from oasst.accounts.identities import lock_non_staff
from oasst.api.authentication import count_wrong_secret
from oasst.api.error_codes import ErrorCode
from oasst.api.fields import (
    BooleanField,
    BoundedList,
    DateTimeField,
    FloatField,
    IntegerField,
    Schema,
    TextField,
    UUIDField,
)
from oasst.api.next_auth import read_email
from oasst.api.operations import Access, Call, Operation, operation
from oasst.core import ratelimit
from oasst.core.audit.recording import record
from oasst.core.http import api_paths
from oasst.core.redaction import MASKED
from oasst.core.text.validation import clean_line
from oasst.site import acts, merging
from trees.api.labels import LabelName
from trees.api.stats import SystemStats, system_stats
from trees.lifecycle.policy import RULES, TreePolicy
from trees.models import Message
from trees.moderation import bans
from trees.moderation.client_actions import client_reason, delete_in_transaction
from trees.policies.reading import current_policy

OPERATIONS: list[Operation] = []
TRUSTED = Access.TRUSTED
API_PREFIX = f"/{api_paths.DATA}".rstrip("/")


# --- API clients ---


class NewClient(Schema):
    description = TextField(max_length=256)
    frontend_type = TextField(max_length=256)
    trusted = BooleanField(default=False, allow_null=True)
    admin_email = TextField(default=None, allow_null=True, max_length=254)


@operation(
    OPERATIONS,
    "POST",
    "admin/api_client",
    Access.ROOT,
    body=NewClient,
    answer=TextField(),
    repeatable=False,  # a key is not kept in the clear
)
def create_client(call: Call) -> str:
    """A new API client. Its key is shown only now."""
    body = call.required_body
    _, key = api_clients.create_api_client(
        name=clean_line(body["description"], limit=256, field="description"),
        frontend_type=body["frontend_type"],
        trusted=bool(body["trusted"]),
        admin_email=body["admin_email"] or "",
        reason="With a root token.",
    )
    return key


# --- Settings ---


class PublicSettings(Schema):
    PROJECT_NAME = TextField()
    API_V1_STR = TextField()
    MESSAGE_SIZE_LIMIT = IntegerField()
    DEBUG_USE_SEED_DATA = BooleanField()
    DEBUG_ALLOW_SELF_LABELING = BooleanField()
    DEBUG_SKIP_EMBEDDING_COMPUTATION = BooleanField()
    DEBUG_SKIP_TOXICITY_CALCULATION = BooleanField()
    DEBUG_DATABASE_ECHO = BooleanField()
    USER_STATS_INTERVAL_DAY = IntegerField()
    USER_STATS_INTERVAL_WEEK = IntegerField()
    USER_STATS_INTERVAL_MONTH = IntegerField()
    USER_STATS_INTERVAL_TOTAL = IntegerField()


def _public_settings() -> dict[str, Any]:
    return {
        "PROJECT_NAME": "oasst",
        "API_V1_STR": API_PREFIX,
        "MESSAGE_SIZE_LIMIT": current_policy().message_size_limit,
        "DEBUG_USE_SEED_DATA": False,
        "DEBUG_ALLOW_SELF_LABELING": False,
        "DEBUG_SKIP_EMBEDDING_COMPUTATION": False,
        "DEBUG_SKIP_TOXICITY_CALCULATION": False,
        "DEBUG_DATABASE_ECHO": False,
        "USER_STATS_INTERVAL_DAY": 5,
        "USER_STATS_INTERVAL_WEEK": 15,
        "USER_STATS_INTERVAL_MONTH": 60,
        "USER_STATS_INTERVAL_TOTAL": 240,
    }


@operation(OPERATIONS, "GET", "admin/backend_settings/public", Access.KEY, answer=PublicSettings)
def get_public_settings(call: Call) -> Any:
    """The settings that every API client may see."""
    return _public_settings()


class TreeManagerSettings(Schema):
    """The policy of message trees."""

    def get_fields(self) -> dict[str, Any]:
        kinds = get_type_hints(TreePolicy)
        return {name: _POLICY_FIELDS[kinds[name]]() for name in RULES}


_POLICY_FIELDS: dict[Any, Callable[[], Any]] = {
    int: IntegerField,
    float: FloatField,
    bool: BooleanField,
    tuple[str, ...]: lambda: serializers.ListField(child=LabelName()),
}


class FullSettings(PublicSettings):
    DATABASE_URI = TextField()
    REDIS_HOST = TextField()
    ROOT_TOKENS = serializers.ListField(child=TextField())
    OFFICIAL_WEB_API_KEY = TextField(allow_null=True)
    HUGGING_FACE_API_KEY = TextField(allow_null=True)
    RATE_LIMIT = BooleanField()
    DUPLICATE_MESSAGE_FILTER_WINDOW_MINUTES = IntegerField()
    DEBUG_IGNORE_TOS_ACCEPTANCE = BooleanField()
    DEBUG_ALLOW_SELF_RANKING = BooleanField()
    DEBUG_ALLOW_DUPLICATE_TASKS = BooleanField()
    tree_manager = TreeManagerSettings()


@operation(OPERATIONS, "GET", "admin/backend_settings/full", TRUSTED, answer=FullSettings)
def get_full_settings(call: Call) -> Any:
    """The settings that change what clients see, with secrets masked."""
    policy: TreePolicy = current_policy()
    return _public_settings() | {
        "DATABASE_URI": MASKED,
        "REDIS_HOST": MASKED,
        "ROOT_TOKENS": [MASKED] * len(settings.ROOT_TOKENS),
        "OFFICIAL_WEB_API_KEY": MASKED if settings.OFFICIAL_WEB_API_KEY else None,
        "HUGGING_FACE_API_KEY": MASKED if settings.HUGGING_FACE_API_KEY else None,
        "RATE_LIMIT": settings.RATE_LIMITS,
        "DUPLICATE_MESSAGE_FILTER_WINDOW_MINUTES": policy.duplicate_window_minutes,
        "DEBUG_IGNORE_TOS_ACCEPTANCE": not settings.API_REQUIRES_TERMS,
        "DEBUG_ALLOW_SELF_RANKING": False,
        "DEBUG_ALLOW_DUPLICATE_TASKS": False,
        "tree_manager": {name: getattr(policy, name) for name in RULES},
    }


# --- People ---


class PurgeResult(Schema):
    before = SystemStats()
    after = SystemStats()
    preview = BooleanField()
    duration = FloatField()


class PurgeQuery(Schema):
    preview = BooleanField(default=True)
    ban = BooleanField(default=True)


class PurgeMessagesQuery(Schema):
    purge_initial_prompts = BooleanField(default=False)
    min_date = DateTimeField(default=None)
    max_date = DateTimeField(default=None)
    preview = BooleanField(default=True)


def _purge(call: Call, *, ban: bool, **limits: Any) -> dict[str, Any]:
    """Delete the messages of a user within `limits`. They are only marked: a moderator can restore each of them."""
    started, preview = time.perf_counter(), call.query["preview"]
    with transaction.atomic(durable=True):
        before = system_stats()
        user = lock_non_staff(call.id("user_id"))
        messages = Message.objects.filter(author=user, deleted=False, **limits).order_by("tree_id")
        found = list(messages.values_list("tree_id", "pk"))
        delete_in_transaction(found, call.client, None, current_policy())
        if found:
            record(acts.DELETE_MESSAGES, user, program=call.client, person_id=user.pk, after={"messages": len(found)})
        if ban:
            bans.set_by_client(user, program=call.client, enabled=False, reason=client_reason(call.client))
            # The row stays, so that the same name does not return as a new user.
            user.deleted_at = timezone.now()
            user.save(update_fields=["deleted_at"])
        after = system_stats()
        transaction.set_rollback(preview)
    duration = time.perf_counter() - started
    return {"before": before, "after": after, "preview": preview, "duration": round(duration, 6)}


_PURGE: dict[str, Any] = {"answer": PurgeResult, "errors": (ErrorCode.USER_NOT_FOUND,)}


@operation(OPERATIONS, "POST", "admin/purge_user/<user_id>", TRUSTED, query=PurgeQuery, **_PURGE)
def purge_user(call: Call) -> Any:
    """Delete all messages of a user with the replies below, and ban the user. A preview changes nothing."""
    return _purge(call, ban=call.query["ban"])


@operation(OPERATIONS, "POST", "admin/purge_user/<user_id>/messages", TRUSTED, query=PurgeMessagesQuery, **_PURGE)
def purge_user_messages(call: Call) -> Any:
    """Delete what a user wrote between two dates; initial prompts only if requested."""
    limits: dict[str, Any] = {} if call.query["purge_initial_prompts"] else {"parent__isnull": False}
    if call.query["min_date"]:
        limits["created_at__gte"] = call.query["min_date"]
    if call.query["max_date"]:
        limits["created_at__lte"] = call.query["max_date"]
    return _purge(call, ban=False, **limits)


class MergeBody(Schema):
    destination_user_id = UUIDField()
    source_user_ids = BoundedList(child=UUIDField(), max_length=100)


@operation(
    OPERATIONS, "POST", "admin/merge_users", TRUSTED, body=MergeBody, status=204, errors=(ErrorCode.USER_NOT_FOUND,)
)
def merge_users(call: Call) -> None:
    """Merge several accounts of one person."""
    sources: list[UUID] = call.required_body["source_user_ids"]
    if sources:
        merging.merge_users(
            destination_id=call.required_body["destination_user_id"], source_ids=sources, program=call.client
        )


# --- Others ---


@operation(OPERATIONS, "GET", "auth/check", Access.OPEN, answer=TextField(allow_null=True), unnumbered_statuses=(403,))
def check_cookie(call: Call) -> str | None:
    """The e-mail address in a NextAuth session cookie."""
    cookie = call.request.COOKIES.get("next-auth.session-token", "")
    if not cookie or not settings.AUTH_SECRET:
        raise PermissionDenied("Not authenticated")
    try:
        return read_email(cookie, settings.AUTH_SECRET)
    except PermissionDenied:
        count_wrong_secret(ratelimit.WRONG_TOKENS_FROM_ADDRESS, call.request)
        raise
