"""The pages of bulk acts: choose, see what would happen, watch it, undo it."""

from collections import Counter
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from oasst.accounts.models import User
from oasst.accounts.rights import languages_of, may_act_in
from oasst.accounts.roles import has_higher_rank
from oasst.core.errors import DomainError, Invalid, NotAllowed
from oasst.core.locks import timeouts_as_busy
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.read_only_admin import badge
from oasst.core.text.languages import name_of
from oasst.core.text.validation import clean_pool_tag
from oasst.site.bulk import choosing, previews, running
from oasst.site.bulk.acts import KINDS, Act, Kind, kind_of
from oasst.site.desk.effects import DAYS
from oasst.site.models import BulkAct, BulkRow
from trees.models import Message
from trees.moderation.badges import message_badge
from trees.moderation.queries import languages

SAMPLES = 10
SHOWN_REFUSALS = 20
LISTED = 50
Stage, Status = BulkAct.Stage, BulkRow.Status
TONES = {
    Stage.DRAFT: "",
    Stage.RUNNING: "warning",
    Stage.STOPPED: "danger",
    Stage.DONE: "success",
    Stage.UNDOING: "warning",
    Stage.UNDONE: "info",
}


def urls(wrap: Any) -> list[Any]:
    """Return the URLs below the admin; `wrap` lets in only those who may see it."""
    return [
        path("bulk/", wrap(list_view), name="bulk_acts"),
        path("bulk/new/", wrap(new_view), name="bulk_new"),
        path("bulk/<uuid:bulk_id>/", wrap(one_view), name="bulk_act"),
    ]


@require_http_methods(["GET", "HEAD"])
def list_view(request: HttpRequest) -> HttpResponse:
    """List the latest acts on many, of all moderators."""
    found = BulkAct.objects.exclude(stage=Stage.DRAFT).select_related("moderator").order_by("-id")[:LISTED]
    return _page(request, "list", _("Acts on many"), rows=[(bulk, _badge(bulk)) for bulk in found])


@require_http_methods(["GET", "HEAD", "POST"])
def new_view(request: Any) -> HttpResponse:
    """Choose what to do. A POST stores what would happen and leads to the page that shows it."""
    refusal = ""
    values = request.POST if request.method == "POST" else request.GET
    try:
        choice = choosing.read_choice(values)
        if request.method == "POST":
            with timeouts_as_busy():
                return redirect("admin:bulk_act", _draft(choice, request).pk)
    except DomainError as error:
        refusal = error.message
        choice = choosing.Choice() if error.code in ("bad_id", "too_many") else choice
    people = choosing.chosen_people(choice) if choice.people else []
    filters = ""
    if choice.filters and not refusal:
        try:
            filters = choosing.filters_in_words(choice.filters, request)
        except DomainError as error:
            refusal = error.message
    like = Message.objects.filter(pk=choice.like).first() if choice.like else None
    if choice.like and like is None:
        raise Http404
    context = {
        "choice": choice,
        "like": like,
        "excerpt": plain_excerpt(like.text, 200) if like else "",
        "same": [(name, words, name in (choice.same or ("author",))) for name, words in choosing.SAME.items()],
        "people": people,
        "filters_in_words": filters,
        "acts": [(kind.act.value, kind.act.label) for kind in KINDS.values() if people or not kind.on_people],
        "act": values.get("act", ""),
        "languages": sorted(
            ((lang, name_of(lang)) for lang in languages() if may_act_in(request.user, lang)), key=itemgetter(1)
        ),
        "lang": values.get("lang", ""),
        "days": [str(number) for number in DAYS],
        "chosen_days": values.get("days", ""),
        "refusal": refusal,
        "list_url": reverse("admin:trees_message_changelist"),
    }
    return _page(request, "new", _("Act on many at once"), status=422 if refusal else 200, **context)


def _draft(choice: choosing.Choice, request: Any) -> BulkAct:
    kind = kind_of(request.POST.get("act", ""))
    if kind.on_people:
        people = choosing.chosen_people(choice)
        words = choosing.words_for_people(people)
        value = _value(kind, request)
        return previews.draft_on_people(actor=request.user, kind=kind, people=people, chosen_by=words, value=value)
    found, words = choosing.chosen_messages(choice, request)
    people = choosing.chosen_people(choice) if choice.people else []
    spared = {person.pk for person in people if not has_higher_rank(request.user, person)} - {request.user.pk}
    return previews.draft_on_messages(
        actor=request.user,
        kind=kind,
        messages=found,
        chosen_by=words,
        langs=languages_of(request.user),
        spared=spared,
        value=_value(kind, request),
    )


def _value(kind: Kind, request: Any) -> str:
    """Return what the act needs: the language that conversations move to, or for how many days people are suspended,
    empty for ever. Raise Invalid, also for another language than the moderator's own: nobody fills the queue of other
    moderators with many conversations at once.
    """
    match kind.act:
        case Act.MOVE:
            lang = clean_pool_tag(request.POST.get("lang", ""))
            if not may_act_in(request.user, lang):
                words = _(
                    "You do not moderate %(language)s. Move conversations there one by one, or ask an administrator."
                )
                raise Invalid(words % {"language": name_of(lang)}, code="other_language", field="lang")
            return lang
        case Act.SUSPEND:
            days = str(request.POST.get("days", ""))
            if days not in ("", *map(str, DAYS)):
                raise Invalid(_("Please choose how long the suspension lasts."), code="until", field="days")
            return days
    return ""


def _value_in_words(bulk: BulkAct) -> str:
    if not bulk.value:
        return ""
    if bulk.act == Act.SUSPEND:
        return ngettext("%(days)d day", "%(days)d days", int(bulk.value)) % {"days": int(bulk.value)}
    return name_of(bulk.value)


@require_http_methods(["GET", "HEAD", "POST"])
def one_view(request: Any, bulk_id: UUID) -> HttpResponse:
    """Show what would happen, how far it is, or what came of it. A POST begins, stops or undoes it."""
    people = ("moderator", "stopped_by", "undone_by")
    bulk = BulkAct.objects.select_related(*people).filter(pk=bulk_id).first()
    if bulk is None:
        raise Http404
    refusal = ""
    if request.method == "POST":
        try:
            with timeouts_as_busy():
                _decide(bulk, request)
            return redirect("admin:bulk_act", bulk_id)
        except NotAllowed:
            raise
        except DomainError as error:
            refusal = error.message
            bulk.refresh_from_db()
    counts = Counter(dict(bulk.rows.order_by().values_list("status").annotate(n=Count("pk"))))
    context = {
        "bulk": bulk,
        "stage": _badge(bulk),
        "mine": bulk.moderator_id == request.user.pk,
        "may_stop": bulk.moderator_id == request.user.pk or request.user.is_superuser,
        "may_go_on": running.may_go_on(bulk, request.user),
        "kind": KINDS.get(BulkAct.Act(bulk.act)),
        "value": _value_in_words(bulk),
        "counts": counts,
        "number": sum(counts.values()),
        "finished": _finished(bulk, counts),
        "summary": summary_of(bulk, counts),
        "left_out": [(number, previews.LEFT_OUT[why]) for why, number in bulk.preview["left_out"].items()],
        "authors": _authors(bulk),
        "more_authors": bulk.preview["number_of_authors"] - len(bulk.preview["authors"]),
        "samples": _samples(bulk),
        "refused": _refused(bulk),
        "refusal": refusal,
        "reason": request.POST.get("reason", ""),
    }
    return _page(request, "one", str(bulk.get_act_display()), status=422 if refusal else 200, **context)


def _decide(bulk: BulkAct, request: Any) -> None:
    reason = request.POST.get("reason", "")
    match request.POST.get("do", ""):
        case "start":
            running.start(bulk_id=bulk.pk, actor=request.user, reason=reason)
            messages.success(request, _("It is under way."))
        case "stop":
            running.stop(bulk_id=bulk.pk, actor=request.user, reason=reason)
            messages.success(request, _("It is stopped. What was done stays done."))
        case "go_on":
            running.go_on(bulk_id=bulk.pk, actor=request.user)
            messages.success(request, _("It goes on."))
        case "undo":
            running.undo(bulk_id=bulk.pk, actor=request.user, reason=reason)
            messages.success(request, _("It is being undone."))


def summary_of(bulk: BulkAct, counts: Counter[str]) -> str:
    """Return what came of it so far in one sentence, such as "12 removed, 2 refused"."""
    kind = KINDS[BulkAct.Act(bulk.act)]
    words = {
        Status.DONE: kind.done,
        Status.WAITING: _("not done yet") if bulk.is_under_way else _("not done"),
        Status.REFUSED: _("refused"),
        Status.UNDONE: _("undone"),
        Status.STAYS: _("could not be undone"),
    }
    return ", ".join(f"{counts[status]:,} {word}" for status, word in words.items() if counts[status])


def _finished(bulk: BulkAct, counts: Counter[str]) -> int:
    if bulk.stage in (Stage.UNDOING, Stage.UNDONE):
        return counts[Status.UNDONE] + counts[Status.STAYS] + counts[Status.REFUSED] + counts[Status.WAITING]
    return counts[Status.DONE] + counts[Status.REFUSED]


def _authors(bulk: BulkAct) -> list[tuple[User | None, int]]:
    """Return those who wrote most of the messages, each with how many. One statement."""
    numbers = dict(bulk.preview["authors"])
    people = {str(person.pk): person for person in User.objects.filter(pk__in=[pk for pk in numbers if pk])}
    return [(people.get(pk), number) for pk, number in numbers.items()]


def _samples(bulk: BulkAct) -> list[dict[str, Any]]:
    """Return the first rows as the page shows them. Two statements."""
    ids = list(bulk.rows.order_by("id").values_list("subject_id", flat=True)[:SAMPLES])
    if KINDS[BulkAct.Act(bulk.act)].on_people:
        return [{"person": person, "url": _url("accounts_user", person.pk)} for person in _people(ids)]
    found = Message.objects.filter(pk__in=ids).select_related("author").defer("search", "text_digest", "imported")
    return [
        {
            "text": plain_excerpt(message.text, 160),
            "person": message.author,
            "badge": message_badge(message),
            "at": message.created_at,
            "url": _url("trees_message", message.pk),
        }
        for message in found.order_by("pk")
    ]


def _people(ids: list[UUID]) -> list[User]:
    return list(User.objects.filter(pk__in=ids).order_by("pk"))


def _refused(bulk: BulkAct) -> list[tuple[str, str]]:
    """Return (address, why) of the first rows that were refused or could not be undone. One statement."""
    model = "accounts_user" if KINDS[BulkAct.Act(bulk.act)].on_people else "trees_message"
    rows = bulk.rows.filter(status__in=[Status.REFUSED, Status.STAYS]).order_by("id")[:SHOWN_REFUSALS]
    return [(_url(model, row.subject_id), row.refusal) for row in rows]


def _url(model: str, pk: UUID) -> str:
    return reverse(f"admin:{model}_change", args=[pk])


def _badge(bulk: BulkAct) -> str:
    return badge(str(bulk.get_stage_display()), TONES[Stage(bulk.stage)])


def _page(request: HttpRequest, name: str, title: str, status: int = 200, **context: Any) -> HttpResponse:
    whole = {**admin.site.each_context(request), "title": title, **context}
    return render(request, f"admin/bulk/{name}.html", whole, status=status)
