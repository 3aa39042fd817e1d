"""How often one person, address or program may do a thing: one function for pages, API and sockets.

The window moves with the clock: "4 per 2 minutes" holds for every two minutes, not for those that a counter
happens to cut out, and the waiting time told is exact. It keeps one entry per use, which our small numbers
make cheap. Refused attempts are not counted, so that waiting as long as the answer says is always enough.

Redis is speed, never truth: when it is away everybody is let in.
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
    rates: str  # "30 per 4 minutes", several separated by semicolons; LIMITS of the settings may say otherwise
    what: str  # ends the sentence "Too many …"
    instead: str = ""  # a sentence: what helps now, where that is more than waiting


TASK_REQUESTS = RateLimit("task", "30 per 4 minutes", "task requests")
ASSISTANT_REPLY_REQUESTS = RateLimit("task_assistant_reply", "4 per 2 minutes", "requests for assistant replies")
PROMPTER_REPLY_REQUESTS = RateLimit("task_prompter_reply", "8 per 2 minutes", "requests for user replies")
TASK_REQUESTS_FOR_NOBODY = RateLimit("task_nobody", "10000 per minute", "task requests that name nobody")
TASK_REQUESTS_FROM_ADDRESS = RateLimit("task_address", "1200 per minute", "task requests")
# People whom a program that is not trusted makes up: each is a vote, so nobody gets many of them for nothing.
NEW_PEOPLE_OF_PROGRAM = RateLimit("new_people", "120 per hour; 600 per day", "new users")
# Keys that open nothing, by the address that tries them: good ones are not counted, so nobody is shut out by others.
WRONG_KEYS_FROM_ADDRESS = RateLimit("wrong_key", "60 per 10 minutes", "wrong keys")
# Everything that changes something, of a program that is not trusted or a person's own: its people have limits as well.
PROGRAM_WRITES = RateLimit("program_write", "1200 per minute", "changes by this program")
# What people do, one by one, through whatever door: far more than hands can do, and no more than can be looked at.
# tests/security/test_limits.py names the rule of each write there is.
ANSWERS = RateLimit("answer", "120 per 4 minutes", "answers")
SKIPS = RateLimit("skip", "300 per 10 minutes", "skipped tasks")
DRAFTS = RateLimit("draft", "1000 per 10 minutes", "saved drafts")
LEASES = RateLimit("lease", "300 per 10 minutes", "renewed tasks")
REACTIONS = RateLimit("reaction", "120 per 10 minutes", "reactions")
REPORTS = RateLimit("report", "30 per hour; 100 per day", "reports")
# All people together whom a program that is not trusted names: it can make up as many as it likes.
REPORTS_OF_PROGRAM = RateLimit("report_program", "60 per hour; 300 per day", "reports by this program")
FREE_LABELS = RateLimit("free_label", "240 per 10 minutes", "labels")
WITHDRAWALS = RateLimit("withdrawal", "60 per hour; 300 per day", "withdrawn texts")
SUGGESTIONS = RateLimit("suggestion", "30 per hour", "suggested texts")
PROFILE_CHANGES = RateLimit("profile", "60 per hour", "changes to your profile")
NEW_TOKENS = RateLimit("token_new", "30 per day", "new tokens")
CHAT_TURNS = RateLimit("chat_turn", "20 per 10 minutes", "questions to the assistant")
NEW_CHATS = RateLimit("chat_new", "200 per hour; 1000 per day", "new chats")
# Programs send batches, and each person's wait in line (inference.chats.asking). By the minute, so that what is
# refused may come again before its client library gives up.
CHAT_TURNS_OF_PROGRAMS = RateLimit("chat_turn_program", "240 per minute; 3600 per hour", "questions to the assistant")
NEW_CHATS_OF_PROGRAMS = RateLimit("chat_new_program", "600 per hour; 3000 per day", "new chats")
CHAT_MESSAGES = RateLimit("chat_message", "240 per minute; 3600 per hour", "messages")
CHAT_CHANGES = RateLimit("chat_change", "300 per 10 minutes", "changes to your chats")
CHAT_STOPS = RateLimit("chat_stop", "120 per 10 minutes", "stopped answers")
CHAT_LISTENS = RateLimit("chat_listen", "120 per minute", "connections to answers")
CHAT_VOTES = RateLimit("chat_vote", "240 per 10 minutes", "votes")
CHAT_REPORTS = RateLimit("chat_report", "30 per 10 minutes; 100 per day", "reports")
PREVIEWS = RateLimit("preview", "120 per minute", "previews")
# What a program sets up for itself.
WEBHOOK_CHANGES = RateLimit("webhook_change", "120 per hour", "changes to webhooks")
WEBHOOK_PINGS = RateLimit("webhook_ping", "30 per 10 minutes", "pings")
NEW_KEYS = RateLimit("key_new", "30 per hour; 100 per day", "new keys")
# Beginnings of a sign-in through another service: each leaves a session behind, by whoever comes.
SIGN_INS_ELSEWHERE = RateLimit(
    "sign_in_elsewhere", "60 per 10 minutes", "attempts to sign in", "The other ways to sign in work meanwhile."
)
# What somebody wrote who has to sign in first waits in a session, whoever comes.
FORMS_KEPT_FROM_ADDRESS = RateLimit("kept_form", "60 per 10 minutes", "forms of people who are not signed in")
# All addresses together: each can take 130 KB in the table of sessions. Browsers keep the words as well.
FORMS_KEPT_OF_NOBODY = RateLimit("kept_form_all", "600 per hour", "forms of people who are not signed in")
REFRESHES = RateLimit("refresh", "60 per 10 minutes", "new tokens of this session")
# Mails that anybody can have sent to anybody: by the address that asks (a school or an office shares one), by that
# address and the mailbox together, so that a stranger elsewhere uses up no one's tries, and by the mailbox, which must
# not be flooded. A browser that signed in there before passes all three and has its own.
_LOOK_AGAIN = "Look for a mail that came before, also in the spam folder: the newest one is good for a few minutes."
SIGN_IN_CODES_FROM_ADDRESS = RateLimit("code_address", "30 per 10 minutes", "mails with a code or a link", _LOOK_AGAIN)
SIGN_IN_CODES_TO_MAILBOX = RateLimit(
    "code_mailbox", "5 per 10 minutes; 20 per day", "mails to this address", _LOOK_AGAIN
)
SIGN_IN_CODES_TO_MAILBOX_IN_ALL = RateLimit(
    "code_mailbox_all", "40 per hour; 100 per day", "mails to this address", _LOOK_AGAIN
)
SIGN_IN_CODES_ON_KNOWN_DEVICE = RateLimit(
    "code_device", "5 per 10 minutes; 20 per day", "mails to this address", _LOOK_AGAIN
)
# Guesses, in the same way; the third holds off many addresses that guess one password.
PASSWORDS_FROM_ADDRESS = RateLimit("password_address", "50 per 10 minutes", "password attempts")
# One requester's day is a small part of what all may do, so that nobody fills that bound alone, however patient.
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
# More than the session counts, which requests at once all read before one of them counted; longer than a code lives.
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
    """All of the above by name, as LIMITS of the settings knows them."""
    return {one.name: one for one in globals().values() if isinstance(one, RateLimit)}


# After a failure nobody waits for Redis again for this long, and the log gets no second line for a minute.
_RETRY_REDIS_AFTER = 5.0
_LOG_AGAIN_AFTER = 60.0
_redis_away_until = 0.0
_quiet_until = 0.0


def spend(rule: RateLimit, *who: object, times: int = 1) -> None:
    """Count one use of `rule` by `who`, or several at once, or raise `Busy` `rate_limited` with the seconds to wait.

    Where a rule has several rates, one that is still free may be charged before another one refuses. The
    person has to wait for the longer of the two in any case.
    """
    _count(rule, who, lambda rate, key: _limiter(settings.REDIS_URL).hit(rate, rule.name, key, cost=times))


def refuse_spent(rule: RateLimit, *who: object) -> None:
    """As `spend`, without counting: before work after which the use may be refused for other reasons, and which
    `spend` ends.
    """
    _count(rule, who, lambda rate, key: _limiter(settings.REDIS_URL).test(rate, rule.name, key))


def _count(rule: RateLimit, who: tuple[object, ...], may: Callable[[RateLimitItem, str], bool]) -> None:
    if not settings.RATE_LIMITS:
        return
    if time.monotonic() < _redis_away_until:
        metrics.rate_limits_unchecked.labels(rule.name).inc()
        return
    key = _key(who)
    try:
        for rate in _rates(rule):
            if not may(rate, key):
                reset = _limiter(settings.REDIS_URL).get_window_stats(rate, rule.name, key).reset_time
                spent = rate
                break
        else:
            return
    except RedisError as error:
        _redis_is_away(rule, error)
        return
    metrics.rate_limited.labels(rule.name).inc()
    wait = max(1, math.ceil(reset - time.time()))
    raise Busy(
        f"Too many {rule.what}: at most {spent.amount} in {_spoken(spent.get_expiry())}. "
        f"Please try again in {_spoken(wait)}.",
        code="rate_limited",
        hint=rule.instead,
        retry_after=wait,
        rule=rule.name,
    )


@dataclass(frozen=True)
class Remaining:
    """How many uses are left, and in how many seconds the oldest one that was counted comes back."""

    uses: int
    seconds: int

    @property
    def spoken(self) -> str:
        return _spoken(self.seconds)


def remaining(rule: RateLimit, *who: object) -> Remaining | None:
    """What is left to `who` of the tightest rate of the rule; counts nothing. None where nothing is counted: limits
    are off or Redis is away.
    """
    if not settings.RATE_LIMITS or time.monotonic() < _redis_away_until:
        return None
    try:
        stats = [_limiter(settings.REDIS_URL).get_window_stats(rate, rule.name, _key(who)) for rate in _rates(rule)]
    except RedisError as error:
        _redis_is_away(rule, error)
        return None
    least = min(stats, key=lambda one: (one.remaining, -one.reset_time))
    return Remaining(least.remaining, max(1, math.ceil(least.reset_time - time.time())))


@cache
def _limiter(url: str) -> MovingWindowRateLimiter:
    never_again: Any = Retry(NoBackoff(), 0)
    storage = RedisStorage(
        url, key_prefix="oasst-limits", socket_connect_timeout=0.5, socket_timeout=0.5, retry=never_again
    )
    return MovingWindowRateLimiter(storage)


def _rates(rule: RateLimit) -> tuple[RateLimitItem, ...]:
    return _parsed(settings.LIMITS.get(rule.name, rule.rates))


@cache
def _parsed(rates: str) -> tuple[RateLimitItem, ...]:
    return tuple(parse_many(rates))


def _key(who: tuple[object, ...]) -> str:
    """Hashed, so that no e-mail address stands in Redis and no separator can be smuggled in."""
    name = "\x1f".join(str(part).casefold() for part in who)
    return hashlib.blake2b(name.encode(errors="replace"), digest_size=16).hexdigest()


def _spoken(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} second{'s' if seconds != 1 else ''}"
    if seconds < 90 * 60:
        return f"{math.ceil(seconds / 60)} minutes"
    return f"{math.ceil(seconds / 3600)} hours"


def _redis_is_away(rule: RateLimit, error: RedisError) -> None:
    global _redis_away_until
    _redis_away_until = time.monotonic() + _RETRY_REDIS_AFTER
    metrics.rate_limits_unchecked.labels(rule.name).inc()
    _log_once_a_minute(error)


def _log_once_a_minute(error: RedisError) -> None:
    global _quiet_until
    if time.monotonic() >= _quiet_until:
        _quiet_until = time.monotonic() + _LOG_AGAIN_AFTER
        log.warning("rate_limits_unchecked", reason=str(error))
