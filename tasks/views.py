"""Task pages: take a task, answer it, skip it, keep a draft."""

from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from math import ceil
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.forms import Form
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from leaderboard import shown_points
from oasst.accounts.requests import SignedInRequest
from oasst.core import ratelimit
from oasst.core.errors import Busy, Conflict, DomainError, Gone, Invalid, NotAllowed
from oasst.core.http import kept_forms
from oasst.core.http.error_views import status_of
from oasst.core.http.kept_forms import keep_until_accepted
from oasst.core.http.requests import is_from_script
from oasst.core.markdown import rendering
from oasst.core.text.languages import name_of
from oasst.core.text.validation import clean_language_tag, clean_text, is_blank
from tasks import assignment, drafts, prompt_ideas, queries, submission
from tasks import undo as undoing
from tasks.forms import (
    NON_ANSWER_FIELDS,
    SHORT_SEEN,
    SIMILAR_SEEN,
    TextForm,
    is_short,
    label_form,
    ranking_form,
    review_form,
)
from tasks.kinds import TABLE, Kind, work_of
from tasks.models import Task
from tasks.task_points import points_of
from trees.contributing import reviews
from trees.enrichment.near_duplicates import Similar, find_hints
from trees.lifecycle.states import REPLY_WORK
from trees.models import Opening, Review, Skip
from trees.policies.reading import current_policy
from trees.queries import conversation_to


@login_required
@require_POST
def next_task(request: SignedInRequest) -> HttpResponse:
    """Take a task and go to its page."""
    kind = _kind(request.POST.get("kind", "random"))
    lang = request.POST.get("lang") or request.user.working_language
    return _go_to_next(request, kind, lang, request.POST.get("idempotency_key") or None)


def _kind(value: str) -> Kind | None:
    if value in ("", "random"):
        return None
    try:
        return Kind(value)
    except ValueError:
        raise Invalid(f"There is no kind of task called {value[:40]!r}.", code="unknown_kind") from None


def _go_to_next(request: SignedInRequest, kind: Kind | None, lang: str, repeat_key: str | None) -> HttpResponse:
    try:
        task = assignment.request_task(
            user=request.user, lang=lang, kind=kind, policy=current_policy(), repeat_key=repeat_key
        )
    except assignment.NothingToDo:
        query = urlencode({"kind": kind.value if kind else "", "lang": lang})
        return redirect(f"{reverse('task_nothing')}?{query}")
    return redirect("task", task.pk)


@login_required
@require_safe
def nothing(request: SignedInRequest) -> HttpResponse:
    """Say why there is no work and what would bring some; if there is some by now, offer it."""
    user, policy = request.user, current_policy()
    kind = _kind(request.GET.get("kind", ""))
    lang = clean_language_tag(request.GET.get("lang") or user.working_language)
    busy = queries.has_too_many_pending(user)
    counts = dict.fromkeys(Kind, 0) if busy else queries.availability(user, lang, policy)
    number = queries.count_work(counts, kind)
    reason = None
    if not number:
        reason = queries.explain_busy() if busy else queries.explain_no_work(user, lang, policy, kind)
    context = {
        "nothing": reason,
        "number": number,
        "other_work": not number and queries.count_work(counts, None) > 0,
        "open_tasks": queries.latest_open_tasks(user),
        "idempotency_key": uuid4(),
        "lang": lang,
        "lang_name": name_of(lang),
        "kind": TABLE[kind] if kind else None,
        "kind_name": kind.value if kind else "random",
    }
    return render(request, "tasks/nothing.html", context)


@keep_until_accepted("task")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def task(request: SignedInRequest, task_id: UUID) -> HttpResponse:
    """Show the task and take its answer. A reload shows the same task, a second send stores nothing new."""
    task_row = queries.get_task_for(request.user, task_id)
    if request.method == "POST":
        return _another_idea(request, task_row) if "idea" in request.POST else _submit(request, task_row)
    if task_row.status == Task.Status.DONE:
        return redirect(_result_url(task_row))
    initial = _initial(request, task_row)
    try:
        assignment.require_open(task_row)
    except Gone as error:
        return _closed(request, task_row, error, str(initial.get("text", "")))
    return _page(request, task_row, _form(task_row, None, initial))


def _initial(request: SignedInRequest, task: Task) -> dict[str, Any]:
    """Return the fields of an answer that could not be stored, or else of the draft."""
    kept = kept_forms.find_kept_form(request, request.path)
    return kept.fields.dict() if kept else _draft(task)


def _form(task: Task, data: Any, initial: dict[str, Any] | None = None) -> Any:
    answer = TABLE[Kind(task.kind)].answer
    if answer == "labels":
        return label_form(task, current_policy(), data, initial)
    if answer == "ranking":
        return ranking_form(task, data, initial)
    return TextForm(
        data,
        initial=initial,
        text_limit=current_policy().message_size_limit,
        filed_as=task.lang,
        may_move=task.message_id is None,  # a reply has the language of its conversation
        known_languages=task.user.contribution_languages,
    )


def _submit(request: SignedInRequest, task: Task) -> HttpResponse:
    form = _form(task, request.POST)
    if not form.is_valid():
        return _page(request, task, form, HTTPStatus.UNPROCESSABLE_ENTITY)
    if hints := _unseen_hints(request, task, form):
        return _page(request, task, form, HTTPStatus.UNPROCESSABLE_ENTITY, hints)
    if _is_short_by_mistake(request, task, form):
        return _page(request, task, form, HTTPStatus.UNPROCESSABLE_ENTITY, short_asks=True)
    try:
        done = _store(request, task, form)
    except (Invalid, Conflict, Gone, NotAllowed, Busy) as error:
        return _refused(request, task, form, error)
    shown_points.forget([request.user.pk])
    messages.success(request, _thanks(request, done, getattr(form, "lang", None)), extra_tags=f"undo:{done.pk}")
    if request.POST.get("then") == "stop":
        return redirect("dashboard")
    kind = Kind(done.asked_kind) if done.asked_kind else None
    try:
        # Keyed by this answer, so that sending it twice leads to the same next task, and sending another one after an
        # undo to another task.
        return _go_to_next(request, kind, done.lang, f"after:{done.pk}:{_moment(done)}")
    except (Busy, NotAllowed) as error:
        messages.info(request, error.message)
        return redirect("dashboard")


def _unseen_hints(request: SignedInRequest, task: Task, form: Any) -> list[Similar]:
    """Return prompts like this new one, once: the page shows them with a field that says so."""
    if task.kind != Kind.INITIAL_PROMPT or SIMILAR_SEEN in request.POST:
        return []
    return find_hints(_as_stored(form.cleaned_data["text"]), form.lang or task.lang)


def _is_short_by_mistake(request: SignedInRequest, task: Task, form: Any) -> bool:
    """Return True once for a very short reply: the page asks whether it is meant. Prompts may be short."""
    if work_of(Kind(task.kind)) not in REPLY_WORK or SHORT_SEEN in request.POST:
        return False
    return is_short(form.cleaned_data["text"])


def _moment(task: Task) -> int:
    return int(task.finished_at.timestamp() * 1_000_000) if task.finished_at else 0


def _thanks(request: SignedInRequest, task: Task, lang: str | None) -> str:
    points = points_of(Kind(task.kind), {Review.Mode(task.mode)} if task.mode else None).when_sent
    earned = gettext("Stored. It counts toward your next point.")
    if points >= 1:
        earned = ngettext("Stored. +%(points)s point.", "Stored. +%(points)s points.", ceil(points)) % {
            "points": f"{points:g}"
        }
    if lang is None or lang == task.lang:
        return earned
    stored = gettext("Stored as %(language)s.") % {"language": name_of(lang)}
    if lang in request.user.contribution_languages:
        return f"{earned} {stored}"
    offer = gettext("To be offered work in %(language)s, choose it in your profile.") % {"language": name_of(lang)}
    return f"{earned} {stored} {offer}"


def _store(request: SignedInRequest, task: Task, form: Any) -> Task:
    arguments: dict[str, Any] = {"task_id": task.pk, "user": request.user, "policy": current_policy()}
    match TABLE[Kind(task.kind)].answer:
        case "text":
            return submission.submit_text(text=form.cleaned_data["text"], lang=form.lang, **arguments)
        case "labels":
            return submission.submit_labels(labels=form.labels, **arguments)
        case "ranking":
            return submission.submit_ranking(
                ordered_ids=form.ordered_ids, not_rankable=form.cleaned_data["not_rankable"], **arguments
            )


def _refused(request: SignedInRequest, task: Task, form: Form, error: DomainError) -> HttpResponse:
    """Show the error at its field with everything that was typed; for a closed task, keep the text as a draft."""
    typed = str(request.POST.get("text", ""))
    if isinstance(error, Gone | Conflict) and error.field is None:
        if typed and task.status == Task.Status.OPEN:
            with suppress(Invalid):  # too long for a draft: the page below still shows it
                drafts.save_draft(task_id=task.pk, user=request.user, body=_answer_so_far(request))
        return _closed(request, task, error, typed)
    form.add_error(error.field if error.field in form.fields else None, error.message)
    if isinstance(error, Busy):
        response = _page(request, task, form, status_of(error))
        response["Retry-After"] = str(error.retry_after)
        return response
    status = HTTPStatus.CONFLICT if isinstance(error, Conflict) else HTTPStatus.UNPROCESSABLE_ENTITY
    return _page(request, task, form, status)


def _page(
    request: SignedInRequest,
    task: Task,
    form: Any,
    status: int = HTTPStatus.OK,
    hints: Sequence[Similar] = (),
    *,
    short_asks: bool = False,
    idea_number: int | None = None,
) -> HttpResponse:
    kind = Kind(task.kind)
    row = TABLE[kind]
    about = [*([task.message] if task.message else []), *getattr(form, "replies", ())]
    if any(message.is_withheld for message in about):
        # Usually withheld for its text, so the holder of the task must not see it either.
        gone = Gone("The message was removed meanwhile.", hint="What you wrote is kept below.", code="message_deleted")
        return _closed(request, task, gone, str(request.POST.get("text") or _draft(task).get("text", "")))
    draft = getattr(task, "draft", None)
    held = task.check_held_until
    if not task.check_kind:
        held = Opening.objects.filter(lease=task.pk).values_list("held_until", flat=True).first()
    modes = {Review.Mode(task.mode)} if task.mode else None
    context = {
        "task": {
            "id": task.pk,
            "kind": task.kind,
            "lang": task.lang,
            "lang_name": name_of(task.lang),
            "expires_at": task.expires_at,
            "lease_until": held,
            "skip_reasons": Skip.Reason.choices,
            "skip_limit": assignment.MAX_NOTE_LENGTH,
        },
        "kind": {"key": task.kind, "pay": points_of(kind, modes), "guidelines_url": row.guidelines_url, **vars(row)},
        "conversation": conversation_to(task.message, request.user) if task.message else [],
        "known_kind": queries.has_done(request.user, kind),
        "form": form,
        "draft_saved_at": draft.updated_at if draft else None,
        "similar_while_writing": settings.OASST_SCORING and kind == Kind.INITIAL_PROMPT,
        "similar": hints,
        "similar_seen": bool(hints) or SIMILAR_SEEN in request.POST,
        "similar_asks": bool(hints),
        "idea": _idea(task, idea_number),
        "idea_is_open": idea_number is not None,
        "short_asks": short_asks,
        "short_seen": short_asks or SHORT_SEEN in request.POST,
    }
    return render(request, f"tasks/task_{row.answer}.html", context, status=status)


def _another_idea(request: SignedInRequest, task: Task) -> HttpResponse:
    """Show another idea for a first prompt: a piece of the page for its script, else the page with the typed text."""
    ratelimit.count_use(ratelimit.HINTS, request.user.pk)
    if task.kind != Kind.INITIAL_PROMPT or task.status != Task.Status.OPEN:
        return redirect("task", task.pk)
    number = prompt_ideas.read_number(request.POST["idea"])
    if is_from_script(request):
        idea = {"idea": _idea(task, number), "idea_is_open": True, "task": {"lang_name": name_of(task.lang)}}
        return render(request, "fragments/prompt_idea.html", idea)
    return _page(request, task, _form(task, None, request.POST.dict()), idea_number=number)


def _idea(task: Task, number: int | None) -> prompt_ideas.Idea | None:
    """Return the idea that the page of a first prompt offers; None on other pages."""
    if task.kind != Kind.INITIAL_PROMPT:
        return None
    return prompt_ideas.idea_at(prompt_ideas.first_number(task.pk) if number is None else number)


def _closed(request: SignedInRequest, task: Task, error: DomainError, typed: str) -> HttpResponse:
    """Say why the task takes no answer any more, and show what was typed."""
    context = {"title": error.message, "hint": error.hint, "typed": typed, "kind": TABLE[Kind(task.kind)]}
    status = HTTPStatus.CONFLICT if isinstance(error, Conflict) else HTTPStatus.GONE
    return render(request, "tasks/closed.html", context, status=status)


def _draft(task: Task) -> dict[str, Any]:
    draft = getattr(task, "draft", None)
    return draft.body if draft else {}


def _answer_so_far(request: SignedInRequest) -> dict[str, Any]:
    """Return the fields of the form as they were sent, for a draft."""
    return {name: value for name, value in request.POST.items() if name not in NON_ANSWER_FIELDS}


def _result_url(task: Task) -> str:
    message_id = task.result_message_id or task.message_id
    return reverse("tree", args=[message_id]) if message_id else reverse("contributions")


@keep_until_accepted("task")
@login_required
@require_POST
def skip(request: SignedInRequest, task_id: UUID) -> HttpResponse:
    try:
        task = assignment.skip(
            task_id=task_id,
            user=request.user,
            policy=current_policy(),
            reason=request.POST.get("reason", ""),
            note=request.POST.get("note", ""),
        )
    except Invalid as error:
        if error.field != "note":
            raise
        task_row = queries.get_task_for(request.user, task_id)
        kept_forms.set_refused(request, error)
        return _page(request, task_row, _form(task_row, None, _draft(task_row)), HTTPStatus.UNPROCESSABLE_ENTITY)
    messages.info(request, "Skipped. You will not be asked for this one again.")
    kind = Kind(task.asked_kind) if task.asked_kind else None
    return _go_to_next(request, kind, task.lang, f"after:{task.pk}")


@login_required
@require_POST
def give_back(request: SignedInRequest, task_id: UUID) -> HttpResponse:
    """Give a task back, and ask first if something was written for it (`sure`)."""
    sure = "sure" in request.POST
    try:
        assignment.give_back(task_id=task_id, user=request.user, policy=current_policy(), with_draft=sure)
    except Conflict:
        task_row = queries.get_task_for(request.user, task_id)
        context = {"task": task_row, "kind": TABLE[Kind(task_row.kind)], "draft": str(_draft(task_row).get("text", ""))}
        return render(request, "tasks/give_back.html", context, status=HTTPStatus.CONFLICT)
    except Gone as error:
        messages.info(request, error.message)
    else:
        messages.success(request, gettext("Given back. Somebody else can take it now."))
    return redirect("dashboard")


@login_required
@require_POST
def undo(request: SignedInRequest, task_id: UUID) -> HttpResponse:
    """Take back the answer that was sent a moment ago, and show its task again with the answer in the form."""
    try:
        undoing.undo_answer(task_id=task_id, user=request.user, policy=current_policy())
    except (Conflict, Gone) as error:
        messages.error(request, f"{error.message} {error.hint}")
        return redirect("contributions")
    shown_points.forget([request.user.pk])
    messages.info(request, gettext("Taken back. Change it and send it again, or skip it."))
    return redirect("task", task_id)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change_review(request: SignedInRequest, review_id: UUID) -> HttpResponse:
    """Show one's own review, and change it while nothing is decided about the message."""
    policy = current_policy()
    try:
        review = reviews.get_changeable(request.user, review_id)
        form = review_form(review, policy, request.POST if request.method == "POST" else None)
        if form.is_bound and form.is_valid():
            reviews.change_labels(review_id=review_id, author=request.user, labels=form.labels, policy=policy)
            messages.success(request, gettext("Changed. Thank you!"))
            return redirect("contributions")
    except (Conflict, Gone) as error:
        messages.error(request, error.message)
        return redirect("contributions")
    context = {"form": form, "conversation": conversation_to(review.message, request.user)}
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
    return render(request, "tasks/review_change.html", context, status=status)


@login_required
@require_POST
def draft(request: SignedInRequest, task_id: UUID) -> HttpResponse:
    saved_at = drafts.save_draft(task_id=task_id, user=request.user, body=_answer_so_far(request))
    return HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"Draft-At": int(saved_at.timestamp())})


@login_required
@require_POST
def lease(request: SignedInRequest, task_id: UUID) -> HttpResponse:
    assignment.extend_lease(task_id=task_id, user=request.user)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


@login_required
@require_POST
def preview(request: SignedInRequest) -> HttpResponse:
    ratelimit.count_use(ratelimit.PREVIEWS, request.user.pk)
    text = _as_stored(request.POST.get("text", "")[: 4 * current_policy().message_size_limit])
    html = "" if is_blank(text) else rendering.render(text)
    return render(request, "tasks/preview.html", {"html": html})


@login_required
@require_POST
def similar(request: SignedInRequest, task_id: UUID) -> HttpResponse:
    """Show prompts like the one that is being written, for the script of the task page."""
    ratelimit.count_use(ratelimit.HINTS, request.user.pk)
    task = queries.get_task_for(request.user, task_id)
    text = _as_stored(request.POST.get("text", "")[: 4 * current_policy().message_size_limit])
    hints = [] if task.kind != Kind.INITIAL_PROMPT or is_blank(text) else find_hints(text, task.lang)
    return render(request, "fragments/similar_prompts.html", {"similar": hints, "similar_seen": True, "task": task})


def _as_stored(text: str) -> str:
    """Return the text as it would be stored, or unchanged if it would be refused: sending it will say why."""
    try:
        return clean_text(text, limit=len(text))
    except Invalid:
        return text
