"""Rate limits for people, addresses and API clients, shared by pages, API and WebSockets.

The window moves: "4 per 2 minutes" holds for any two minutes, and the waiting time in the error is exact. One entry per
use is stored, which is cheap for small numbers. Refused attempts are not counted, so waiting as long as the error says
always suffices. Without Redis nothing is limited.
"""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog
from django.conf import settings
from limits import RateLimitItem, parse_many
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from oasst.core import metrics
from oasst.core.errors import Busy

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RateLimit:
    name: str
    rates: str  # "30 per 4 minutes", several separated by semicolons; the setting LIMITS may override it
    subject: str  # the end of the sentence "Too many …"
    hint: str = ""  # a sentence that says what helps besides waiting


TASK_REQUESTS = RateLimit("task", "30 per 4 minutes", "task requests")
ASSISTANT_REPLY_REQUESTS = RateLimit("task_assistant_reply", "4 per 2 minutes", "requests for assistant replies")
PROMPTER_REPLY_REQUESTS = RateLimit("task_prompter_reply", "8 per 2 minutes", "requests for user replies")
ANONYMOUS_TASK_REQUESTS = RateLimit("task_nobody", "10000 per minute", "task requests that name nobody")
TASK_REQUESTS_FROM_ADDRESS = RateLimit("task_address", "1200 per minute", "task requests")
# Users created by an untrusted API client: each of them has a vote.
NEW_PEOPLE_OF_CLIENT = RateLimit("new_people", "120 per hour; 600 per day", "new users")
# Wrong keys only, by address, so that nobody with a valid key is locked out by others at the same address.
WRONG_KEYS_FROM_ADDRESS = RateLimit("wrong_key", "60 per 10 minutes", "wrong keys")
# All writes of an untrusted API client, also a user's own, in addition to the limits of its users.
CLIENT_WRITES = RateLimit("program_write", "1200 per minute", "changes by this program")
# For each user, on pages and API: far more than a person can do by hand, and few enough for moderators to review.
# tests/security/test_limits.py names the rule for every write.
ANSWERS = RateLimit("answer", "120 per 4 minutes", "answers")
SKIPS = RateLimit("skip", "300 per 10 minutes", "skipped tasks")
DRAFTS = RateLimit("draft", "1000 per 10 minutes", "saved drafts")
LEASES = RateLimit("lease", "300 per 10 minutes", "renewed tasks")
REACTIONS = RateLimit("reaction", "120 per 10 minutes", "reactions")
REPORTS = RateLimit("report", "30 per hour; 100 per day", "reports")
# For all users of an untrusted API client together, because it can invent as many as it likes.
REPORTS_OF_CLIENT = RateLimit("report_program", "60 per hour; 300 per day", "reports by this program")
# By address, of people who are not signed in; nothing of it is stored.
PRACTICE = RateLimit("practice", "120 per 10 minutes", "practice reviews")
# Searches cost the database most of all reads. A school or an office shares an address.
EXPLORING = RateLimit("explore", "240 per 10 minutes", "searches", "Each page of results counts as one.")
EXPLORING_FROM_ADDRESS = RateLimit(
    "explore_address", "600 per 10 minutes", "searches", "Sign in, and only your own searches count."
)
FREE_LABELS = RateLimit("free_label", "240 per 10 minutes", "labels")
UNDOS = RateLimit("undo", "60 per 10 minutes", "answers taken back")
WITHDRAWALS = RateLimit("withdrawal", "60 per hour; 300 per day", "withdrawn texts")
DONATIONS = RateLimit("donation", "20 per hour; 60 per day", "conversations given")
MASKS = RateLimit("mask", "120 per hour", "masked texts")
SUGGESTIONS = RateLimit("suggestion", "30 per hour", "suggested texts")
PROFILE_CHANGES = RateLimit("profile", "60 per hour", "changes to your profile")
APPEALS = RateLimit("appeal", "5 per day", "appeals")
OWN_DATA = RateLimit("own_data", "6 per day", "files with your data")
NEW_TOKENS = RateLimit("token_new", "30 per day", "new tokens")
CHAT_TURNS = RateLimit("chat_turn", "20 per 10 minutes", "questions to the assistant")
NEW_CHATS = RateLimit("chat_new", "200 per hour; 1000 per day", "new chats")
# API clients send batches, which wait in the queue (inference.chats.asking). Per minute, so that a refused request may
# be repeated before its client library gives up.
CHAT_TURNS_OF_CLIENTS = RateLimit("chat_turn_program", "240 per minute; 3600 per hour", "questions to the assistant")
NEW_CHATS_OF_CLIENTS = RateLimit("chat_new_program", "600 per hour; 3000 per day", "new chats")
CHAT_MESSAGES = RateLimit("chat_message", "240 per minute; 3600 per hour", "messages")
CHAT_CHANGES = RateLimit("chat_change", "300 per 10 minutes", "changes to your chats")
CHAT_STOPS = RateLimit("chat_stop", "120 per 10 minutes", "stopped answers")
CHAT_LISTENS = RateLimit("chat_listen", "120 per minute", "connections to answers")
BELL_LISTENS = RateLimit("bell_listen", "120 per minute", "connections of the bell")
CHAT_VOTES = RateLimit("chat_vote", "240 per 10 minutes", "votes")
CHAT_REPORTS = RateLimit("chat_report", "30 per 10 minutes; 100 per day", "reports")
PREVIEWS = RateLimit("preview", "120 per minute", "previews")
HINTS = RateLimit("hint", "60 per minute", "hints about similar prompts")
# What an API client sets up for itself.
WEBHOOK_CHANGES = RateLimit("webhook_change", "120 per hour", "changes to webhooks")
WEBHOOK_PINGS = RateLimit("webhook_ping", "30 per 10 minutes", "pings")
NEW_KEYS = RateLimit("key_new", "30 per hour; 100 per day", "new keys")
# Anybody can start a sign-in through another provider, and each start creates a session.
PROVIDER_SIGN_INS = RateLimit(
    "sign_in_elsewhere", "60 per 10 minutes", "attempts to sign in", "The other ways to sign in work meanwhile."
)
# A form sent by a signed-out visitor is kept in a session until they sign in.
KEPT_FORMS_FROM_ADDRESS = RateLimit("kept_form", "60 per 10 minutes", "forms of people who are not signed in")
# For all addresses together: each form can take 130 KB in the table of sessions. Browsers keep the text too.
KEPT_FORMS_IN_ALL = RateLimit("kept_form_all", "600 per hour", "forms of people who are not signed in")
REFRESHES = RateLimit("refresh", "60 per 10 minutes", "new tokens of this session")
# Anybody can request a mail to anybody. Limited by requesting address (which a school or an office shares), by address
# and mailbox together (so that a stranger elsewhere cannot use up somebody's mails), and by mailbox (against floods).
# A browser that signed in to the account before skips all three and has its own limit.
_LOOK_AGAIN = "Look for a mail that came before, also in the spam folder: the newest one is good for a few minutes."
SIGN_IN_CODES_FROM_ADDRESS = RateLimit("code_address", "30 per 10 minutes", "mails with a code or a link", _LOOK_AGAIN)
# More than these need a proof of work (`sign_in_proof`).
SIGN_IN_CODES_WITHOUT_PROOF = RateLimit("code_free", "10 per 10 minutes", "mails with a code or a link", _LOOK_AGAIN)
SIGN_IN_CODES_TO_MAILBOX = RateLimit(
    "code_mailbox", "5 per 10 minutes; 20 per day", "mails to this address", _LOOK_AGAIN
)
SIGN_IN_CODES_TO_MAILBOX_IN_ALL = RateLimit(
    "code_mailbox_all", "40 per hour; 100 per day", "mails to this address", _LOOK_AGAIN
)
SIGN_IN_CODES_ON_KNOWN_DEVICE = RateLimit(
    "code_device", "5 per 10 minutes; 20 per day", "mails to this address", _LOOK_AGAIN
)
# Limited in the same way; the third stops many addresses that guess one password.
PASSWORDS_FROM_ADDRESS = RateLimit("password_address", "50 per 10 minutes", "password attempts")
# A day of one address is a small part of the limit for all, so that nobody can use up that limit alone.
PASSWORDS_FOR_ACCOUNT = RateLimit(
    "password_account", "10 per 10 minutes; 60 per day", "password attempts for this account"
)
PASSWORDS_FOR_ACCOUNT_IN_ALL = RateLimit(
    "password_account_all", "100 per hour; 300 per day", "password attempts for this account"
)
PASSWORDS_ON_KNOWN_DEVICE = RateLimit(
    "password_device", "10 per 10 minutes; 60 per day", "password attempts for this account"
)
SECOND_FACTOR_CHANGES = RateLimit("second_factor_change", "20 per hour", "changes of your security keys")
SECOND_FACTORS_FOR_ACCOUNT = RateLimit(
    "second_factor_account", "10 per 10 minutes; 100 per day", "codes tried for this account"
)
SECOND_FACTORS_ON_KNOWN_DEVICE = RateLimit(
    "second_factor_device", "10 per 10 minutes; 100 per day", "codes tried for this account"
)
CODES_FROM_ADDRESS = RateLimit("code_guess_address", "100 per 10 minutes", "codes tried")
CODES_ON_KNOWN_DEVICE = RateLimit("code_guess_device", "30 per 10 minutes", "codes tried")
# Needed besides the counter in the session, which concurrent requests evade. Longer than the lifetime of a code.
TRIES_OF_ONE_CODE = RateLimit(
    "code_guess_code", "8 per hour", "tries of one code", "Another code has tries of its own: ask for one now."
)
WRONG_TOKENS_FROM_ADDRESS = RateLimit("wrong_token_address", "60 per 10 minutes", "requests with a wrong token")
WRONG_LINKS_FROM_ADDRESS = RateLimit(
    "wrong_link",
    "60 per 10 minutes",
    "sign-in links that do not work",
    "Ask whoever runs the site for another link, or sign in on the ordinary page.",
)


def rules() -> dict[str, RateLimit]:
    """Return all limits by name, as the setting LIMITS names them."""
    return {value.name: value for value in globals().values() if isinstance(value, RateLimit)}


# After a failure no request waits for Redis for this long, and nothing is logged again for a minute.
_RETRY_REDIS_AFTER = 5.0
_LOG_AGAIN_AFTER = 60.0
_redis_away_until = 0.0
_quiet_until = 0.0


def count_use(rule: RateLimit, *who: object, times: int = 1) -> None:
    """Count one or more uses of `rule` by `who`, or raise `Busy` `rate_limited` with the seconds to wait.

    With several rates, one may count the use before another refuses it; the longer wait decides in any case.
    """
    _enforce(rule, who, lambda rate, key: _limiter(settings.REDIS_URL).hit(rate, rule.name, key, cost=times))


def refuse_if_used_up(rule: RateLimit, *who: object) -> None:
    """Raise `Busy` as `count_use` does, but count nothing: a check before work that `count_use` concludes."""
    _enforce(rule, who, lambda rate, key: _limiter(settings.REDIS_URL).test(rate, rule.name, key))


def _enforce(rule: RateLimit, who: tuple[object, ...], allows: Callable[[RateLimitItem, str], bool]) -> None:
    if not settings.RATE_LIMITS:
        return
    if time.monotonic() < _redis_away_until:
        metrics.rate_limits_unchecked.labels(rule.name).inc()
        return
    key = _key(who)
    try:
        for rate in _rates(rule):
            if not allows(rate, key):
                reset = _limiter(settings.REDIS_URL).get_window_stats(rate, rule.name, key).reset_time
                break
        else:
            return
    except RedisError as error:
        _note_outage(rule, error)
        return
    metrics.rate_limited.labels(rule.name).inc()
    wait = max(1, math.ceil(reset - time.time()))
    raise Busy(
        f"Too many {rule.subject}: at most {rate.amount} in {_duration(rate.get_expiry())}. "
        f"Please try again in {_duration(wait)}.",
        code="rate_limited",
        hint=rule.hint,
        retry_after=wait,
        rule=rule.name,
    )


@dataclass(frozen=True)
class Remaining:
    """How many uses are left, and in how many seconds the oldest counted one expires."""

    uses: int
    seconds: int

    @property
    def duration(self) -> str:
        return _duration(self.seconds)


def remaining(rule: RateLimit, *who: object) -> Remaining | None:
    """Return what `who` has left of the rule's tightest rate. None if limits are off or Redis is unreachable."""
    if not settings.RATE_LIMITS or time.monotonic() < _redis_away_until:
        return None
    try:
        stats = [_limiter(settings.REDIS_URL).get_window_stats(rate, rule.name, _key(who)) for rate in _rates(rule)]
    except RedisError as error:
        _note_outage(rule, error)
        return None
    tightest = min(stats, key=lambda window: (window.remaining, -window.reset_time))
    return Remaining(tightest.remaining, max(1, math.ceil(tightest.reset_time - time.time())))


@cache
def _limiter(url: str) -> MovingWindowRateLimiter:
    no_retry: Any = Retry(NoBackoff(), 0)
    storage = RedisStorage(
        url, key_prefix="oasst-limits", socket_connect_timeout=0.5, socket_timeout=0.5, retry=no_retry
    )
    return MovingWindowRateLimiter(storage)


def _rates(rule: RateLimit) -> tuple[RateLimitItem, ...]:
    return _parsed(settings.LIMITS.get(rule.name, rule.rates))


@cache
def _parsed(rates: str) -> tuple[RateLimitItem, ...]:
    return tuple(parse_many(rates))


def _key(who: tuple[object, ...]) -> str:
    """Return a hash, so that Redis holds no email address and nobody can inject a separator."""
    name = "\x1f".join(str(part).casefold() for part in who)
    return hashlib.blake2b(name.encode(errors="replace"), digest_size=16).hexdigest()


def _duration(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} second{'s' if seconds != 1 else ''}"
    if seconds < 90 * 60:
        return f"{math.ceil(seconds / 60)} minutes"
    return f"{math.ceil(seconds / 3600)} hours"


def _note_outage(rule: RateLimit, error: RedisError) -> None:
    global _redis_away_until, _quiet_until
    _redis_away_until = time.monotonic() + _RETRY_REDIS_AFTER
    metrics.rate_limits_unchecked.labels(rule.name).inc()
    if time.monotonic() >= _quiet_until:
        _quiet_until = time.monotonic() + _LOG_AGAIN_AFTER
        log.warning("rate_limits_unchecked", reason=str(error))
