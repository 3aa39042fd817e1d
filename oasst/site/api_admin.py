"""Operations of those who run the site: programs, settings, purging and merging people. They span the apps."""

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
from oasst.accounts.identities import lock_general
from oasst.api.authentication import count_wrong
from oasst.api.codes import Wire
from oasst.api.fields import Few, Flag, Id, Moment, Number, Shape, Text, Whole
from oasst.api.next_auth import email_in
from oasst.api.operations import Access, Call, Operation, operation
from oasst.core import ratelimit
from oasst.core.http import api_paths
from oasst.core.text.validation import clean_line
from oasst.site import merging
from trees.api.labels import LabelName
from trees.api.stats import SystemStats, system_stats
from trees.lifecycle.policy import TreePolicy, current_policy
from trees.models import Message
from trees.moderation import bans
from trees.moderation.client_actions import reason_of, remove_messages

OPERATIONS: list[Operation] = []
TRUSTED = Access.TRUSTED
API_PREFIX = f"/{api_paths.DATA}".rstrip("/")
MASK = "**********"


# --- Programs ---


class NewClient(Shape):
    description = Text(max_length=256)
    frontend_type = Text(max_length=256)
    trusted = Flag(default=False, allow_null=True)
    admin_email = Text(default=None, allow_null=True, max_length=254)


@operation(
    OPERATIONS,
    "POST",
    "admin/api_client",
    Access.ROOT,
    body=NewClient,
    answer=Text(),
    repeatable=False,  # a key is not kept in the clear
)
def create_client(call: Call) -> str:
    """A new API client; its key is told only now."""
    body = call.given
    _, key = api_clients.create_api_client(
        name=clean_line(body["description"], limit=256, field="description"),
        frontend_type=body["frontend_type"],
        trusted=bool(body["trusted"]),
        admin_email=body["admin_email"] or "",
    )
    return key


# --- Settings ---


class PublicSettings(Shape):
    PROJECT_NAME = Text()
    API_V1_STR = Text()
    MESSAGE_SIZE_LIMIT = Whole()
    DEBUG_USE_SEED_DATA = Flag()
    DEBUG_ALLOW_SELF_LABELING = Flag()
    DEBUG_SKIP_EMBEDDING_COMPUTATION = Flag()
    DEBUG_SKIP_TOXICITY_CALCULATION = Flag()
    DEBUG_DATABASE_ECHO = Flag()
    USER_STATS_INTERVAL_DAY = Whole()
    USER_STATS_INTERVAL_WEEK = Whole()
    USER_STATS_INTERVAL_MONTH = Whole()
    USER_STATS_INTERVAL_TOTAL = Whole()


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
    """What every program may know of the settings."""
    return _public_settings()


class TreeManagerSettings(Shape):
    """The policy of message trees."""

    def get_fields(self) -> dict[str, Any]:
        return {name: _POLICY_FIELDS[kind]() for name, kind in get_type_hints(TreePolicy).items()}


_POLICY_FIELDS: dict[Any, Callable[[], Any]] = {
    int: Whole,
    float: Number,
    bool: Flag,
    tuple[str, ...]: lambda: serializers.ListField(child=LabelName()),
}


class FullSettings(PublicSettings):
    DATABASE_URI = Text()
    REDIS_HOST = Text()
    ROOT_TOKENS = serializers.ListField(child=Text())
    OFFICIAL_WEB_API_KEY = Text(allow_null=True)
    HUGGING_FACE_API_KEY = Text(allow_null=True)
    RATE_LIMIT = Flag()
    DUPLICATE_MESSAGE_FILTER_WINDOW_MINUTES = Whole()
    DEBUG_IGNORE_TOS_ACCEPTANCE = Flag()
    DEBUG_ALLOW_SELF_RANKING = Flag()
    DEBUG_ALLOW_DUPLICATE_TASKS = Flag()
    tree_manager = TreeManagerSettings()


@operation(OPERATIONS, "GET", "admin/backend_settings/full", TRUSTED, answer=FullSettings)
def get_full_settings(call: Call) -> Any:
    """The settings that change what clients see, with secrets masked."""
    policy: TreePolicy = current_policy()
    return _public_settings() | {
        "DATABASE_URI": MASK,
        "REDIS_HOST": MASK,
        "ROOT_TOKENS": [MASK] * len(settings.ROOT_TOKENS),
        "OFFICIAL_WEB_API_KEY": MASK if settings.OFFICIAL_WEB_API_KEY else None,
        "HUGGING_FACE_API_KEY": MASK if settings.HUGGING_FACE_API_KEY else None,
        "RATE_LIMIT": settings.RATE_LIMITS,
        "DUPLICATE_MESSAGE_FILTER_WINDOW_MINUTES": policy.duplicate_window_minutes,
        "DEBUG_IGNORE_TOS_ACCEPTANCE": not settings.API_REQUIRES_TERMS,
        "DEBUG_ALLOW_SELF_RANKING": False,
        "DEBUG_ALLOW_DUPLICATE_TASKS": False,
        "tree_manager": vars(policy),
    }


# --- People ---


class PurgeResult(Shape):
    before = SystemStats()
    after = SystemStats()
    preview = Flag()
    duration = Number()


class PurgeQuery(Shape):
    preview = Flag(default=True)
    ban = Flag(default=True)


class PurgeMessagesQuery(Shape):
    purge_initial_prompts = Flag(default=False)
    min_date = Moment(default=None)
    max_date = Moment(default=None)
    preview = Flag(default=True)


def _purge(call: Call, *, ban: bool, **limits: Any) -> dict[str, Any]:
    """Messages are deleted, not destroyed: a moderator can bring each back."""
    started, preview = time.perf_counter(), call.query["preview"]
    with transaction.atomic(durable=True):
        before = system_stats()
        person = lock_general(call.id("user_id"))
        found = Message.objects.filter(author=person, deleted=False, **limits).order_by("tree_id")
        remove_messages(found.values_list("tree_id", "pk"), call.client, None, current_policy())
        if ban:
            bans.set_by_program(person, enabled=False, reason=reason_of(call.client))
            # The identity stays, so that the same name does not come back as somebody new.
            person.deleted_at = timezone.now()
            person.save(update_fields=["deleted_at"])
        after = system_stats()
        transaction.set_rollback(preview)
    duration = time.perf_counter() - started
    return {"before": before, "after": after, "preview": preview, "duration": round(duration, 6)}


@operation(
    OPERATIONS,
    "POST",
    "admin/purge_user/<user_id>",
    TRUSTED,
    query=PurgeQuery,
    answer=PurgeResult,
    errors=(Wire.USER_NOT_FOUND,),
)
def purge_user(call: Call) -> Any:
    """Delete all that a person wrote, with everything below it, and ban them. As a preview: only say what would be."""
    return _purge(call, ban=call.query["ban"])


@operation(
    OPERATIONS,
    "POST",
    "admin/purge_user/<user_id>/messages",
    TRUSTED,
    query=PurgeMessagesQuery,
    answer=PurgeResult,
    errors=(Wire.USER_NOT_FOUND,),
)
def purge_user_messages(call: Call) -> Any:
    """Delete what a person wrote between two dates; first prompts only when asked."""
    limits: dict[str, Any] = {} if call.query["purge_initial_prompts"] else {"parent__isnull": False}
    if call.query["min_date"]:
        limits["created_at__gte"] = call.query["min_date"]
    if call.query["max_date"]:
        limits["created_at__lte"] = call.query["max_date"]
    return _purge(call, ban=False, **limits)


class MergeBody(Shape):
    destination_user_id = Id()
    source_user_ids = Few(child=Id(), max_length=100)


@operation(OPERATIONS, "POST", "admin/merge_users", TRUSTED, body=MergeBody, status=204, errors=(Wire.USER_NOT_FOUND,))
def merge_users(call: Call) -> None:
    """Several accounts of one person become one."""
    sources: list[UUID] = call.given["source_user_ids"]
    if sources:
        merging.merge_people(destination_id=call.given["destination_user_id"], source_ids=sources)


# --- Others ---


@operation(OPERATIONS, "GET", "auth/check", Access.OPEN, answer=Text(allow_null=True), plain=(403,))
def check_cookie(call: Call) -> str | None:
    """The e-mail address in a NextAuth session cookie."""
    cookie = call.request.COOKIES.get("next-auth.session-token", "")
    if not cookie or not settings.AUTH_SECRET:
        raise PermissionDenied("Not authenticated")
    try:
        return email_in(cookie, settings.AUTH_SECRET)
    except PermissionDenied:
        count_wrong(ratelimit.WRONG_TOKENS_FROM_ADDRESS, call.request)
        raise
