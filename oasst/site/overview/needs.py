"""What needs a look besides the queues: things that do not go on by themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Count, F, Q, QuerySet, Value
from django.db.models.fields import CharField
from django.db.models.functions import Cast
from django.urls import reverse
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from oasst.accounts.groups import OPERATE
from oasst.accounts.models import User
from oasst.accounts.site_settings.reading import current
from oasst.core.models import JobRecord
from oasst.core.text.languages import name_of
from tasks.models import Task
from trees.lifecycle.states import State
from trees.models import Opening, Proposal
from trees.outbox import webhooks

CLOSES_TASKS = "tasks.schedules.clean_up"
OVERDUE = timedelta(hours=3)
"""A job closes tasks every hour; what is overdue for longer is stuck."""
HELD = timedelta(days=1)
QUIET = timedelta(days=14)
WEEK = timedelta(days=7)
OFTEN = 5
"""How often complaints must have acted in a week, before it is worth a look, and twice as often as the week before."""
CACHED = 600  # seconds
KEY = "site.overview.quiet_languages"
Rows = QuerySet[Any, Any]


@dataclass(frozen=True)
class Need:
    text: str
    url: str = ""
    is_bad: bool = False
    """It is broken, and not only odd."""


def find_needs(user: User, states: dict[State, int], passed_on: int) -> list[Need]:
    """Return what needs a look, the worst first. Two statements, one while the cache holds the languages."""
    numbers = _numbers()
    needs = [*_site_state(user), *_broken(user, numbers, states), *_odd(user, numbers, passed_on), *_quiet_languages()]
    return sorted(needs, key=lambda need: not need.is_bad)


def _numbers() -> dict[str, int]:
    now = timezone.now()
    lately, before = now - WEEK, now - 2 * WEEK
    failing = JobRecord.objects.filter(
        Q(failed_at__gt=F("succeeded_at")) | Q(failed_at__isnull=False, succeeded_at=None)
    )
    counted: dict[str, Rows] = {
        "webhooks": webhooks.failed_webhooks(),
        "jobs": failing,
        "tasks": Task.objects.filter(status=Task.Status.OPEN, expires_at__lt=now - OVERDUE),
        "held": Opening.objects.filter(held_until__lt=now - HELD),
        "flags": Proposal.objects.filter(kind=Proposal.Kind.FLAGS, created_at__gte=lately),
        "flags_before": Proposal.objects.filter(
            kind=Proposal.Kind.FLAGS, created_at__gte=before, created_at__lt=lately
        ),
        "skips": Proposal.objects.filter(kind=Proposal.Kind.SKIPS, created_at__gte=lately),
        "skips_before": Proposal.objects.filter(
            kind=Proposal.Kind.SKIPS, created_at__gte=before, created_at__lt=lately
        ),
    }
    first, *others = (_as_number(name, rows) for name, rows in counted.items())
    return {**dict.fromkeys(counted, 0), **dict(first.union(*others, all=True))}


def _as_number(name: str, rows: Rows) -> Rows:
    named = rows.order_by().annotate(counted_name=Cast(Value(name), CharField())).values("counted_name")
    return named.annotate(number=Count("pk")).values_list("counted_name", "number")


def _site_state(user: User) -> Iterator[Need]:
    """What administrators have switched for the whole site. No statement: every request knows it."""
    site = current()
    url = reverse("admin:accounts_sitesettings_now") if user.has_perm(OPERATE) else ""
    if site.maintenance:
        yield Need(_("Maintenance is on: only the team can use the site"), url, is_bad=True)
    if site.ended:
        yield Need(_("The project has ended: nobody gets tasks"), url, is_bad=True)
    if site.has_announcement:
        yield Need(_("An announcement is shown: “%(text)s”") % {"text": Truncator(site.announcement).chars(80)}, url)


def _broken(user: User, numbers: dict[str, int], states: dict[State, int]) -> Iterator[Need]:
    if number := states.get(State.SCORING_FAILED, 0):
        url = f"{reverse('admin:trees_messagetree_changelist')}?state={State.SCORING_FAILED.value}"
        words = ngettext(
            "%(number)d conversation could not be ranked", "%(number)d conversations could not be ranked", number
        )
        yield Need(words % {"number": number}, url, is_bad=True)
    if not user.is_superuser:
        return
    if number := numbers["jobs"]:
        words = ngettext("%(number)d job failed in its last run", "%(number)d jobs failed in their last run", number)
        yield Need(words % {"number": number}, reverse("admin:operation"), is_bad=True)
    if number := numbers["webhooks"]:
        url = f"{reverse('admin:trees_webhook_changelist')}?enabled__exact=0"
        words = ngettext(
            "%(number)d webhook switched off: its receiver did not answer for days",
            "%(number)d webhooks switched off: their receivers did not answer for days",
            number,
        )
        yield Need(words % {"number": number}, url, is_bad=True)
    if number := numbers["tasks"]:
        words = ngettext(
            "%(number)d task is overdue and was not closed", "%(number)d tasks are overdue and were not closed", number
        )
        yield Need(words % {"number": number}, reverse("admin:job", args=[CLOSES_TASKS]), is_bad=True)
    if number := numbers["held"]:
        words = ngettext(
            "%(number)d piece of work has been held for somebody since yesterday",
            "%(number)d pieces of work have been held for somebody since yesterday",
            number,
        )
        yield Need(words % {"number": number}, reverse("admin:status"), is_bad=True)


def _odd(user: User, numbers: dict[str, int], passed_on: int) -> Iterator[Need]:
    if passed_on and user.is_superuser:
        words = ngettext(
            "%(number)d item passed on to administrators", "%(number)d items passed on to administrators", passed_on
        )
        yield Need(words % {"number": passed_on})
    url = reverse("admin:trees_proposal_changelist")
    for kind, words in (
        ("flags", _("Flags hid or stopped %(number)d messages this week, %(before)d the week before")),
        ("skips", _("Nobody wanted to answer %(number)d messages this week, %(before)d the week before")),
    ):
        number, before = numbers[kind], numbers[f"{kind}_before"]
        if number >= OFTEN and number >= 2 * before:
            yield Need(words % {"number": number, "before": before}, f"{url}?kind__exact={kind}")


def _quiet_languages() -> Iterator[Need]:
    """Languages in which messages wait for reviewers and nobody reviewed any for QUIET."""
    found = cache.get(KEY)
    if found is None:
        done = Task.objects.filter(
            status=Task.Status.DONE, finished_at__gte=timezone.now() - QUIET, kind__startswith="label_"
        )
        waiting = Opening.objects.filter(work__startswith="label_").exclude(lang__in=done.values("lang"))
        found = list(map(list, waiting.order_by("lang").values_list("lang").annotate(number=Count("pk"))))
        cache.set(KEY, found, CACHED)
    for lang, number in found:
        words = ngettext(
            "%(language)s: %(number)d review is needed, and nobody reviewed anything for 14 days",
            "%(language)s: %(number)d reviews are needed, and nobody reviewed anything for 14 days",
            number,
        )
        yield Need(words % {"language": name_of(lang), "number": number}, reverse("admin:status"))
