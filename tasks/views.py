"""Task pages: take one, do it, skip it, keep a draft. A view reads the form, calls one service, answers."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.forms import Form
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from oasst.accounts.requests import SignedInRequest
from oasst.core import markdown, ratelimit
from oasst.core.error_views import status_of
from oasst.core.errors import Busy, Conflict, DomainError, Gone, Invalid, NotAllowed
from oasst.core.languages import name_of
from oasst.core.text import clean_language_tag
from tasks import assignment, drafts, queries, submission
from tasks.forms import TextForm, label_form, ranking_form
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from trees.models import Opening, Skip
from trees.policy import current_policy
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
    """Why there is no work, and what would bring some."""
    kind = _kind(request.GET.get("kind", ""))
    lang = clean_language_tag(request.GET.get("lang") or request.user.working_language)
    context = {
        "nothing": queries.explain_nothing(request.user, lang, current_policy(), kind),
        "lang_name": name_of(lang),
        "kind": TABLE[kind] if kind else None,
    }
    return render(request, "tasks/nothing.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def task(request: SignedInRequest, task_id: UUID) -> HttpResponse:
    """One URL per task: a reload shows the same task, a second send stores nothing new."""
    found = queries.get_task_for(request.user, task_id)
    if request.method == "POST":
        return _submit(request, found)
    if found.status == Task.Status.DONE:
        return redirect(_result_url(found))
    try:
        assignment.require_open(found)
    except Gone as error:
        return _closed(request, found, error, _draft_text(found))
    return _page(request, found, _form(found, None))


def _form(task: Task, data: Any) -> Any:
    answer = TABLE[Kind(task.kind)].answer
    if answer == "labels":
        return label_form(task, current_policy(), data)
    if answer == "ranking":
        return ranking_form(task, data)
    initial = {"text": _draft_text(task)}
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
    try:
        done = _store(request, task, form)
    except (Invalid, Conflict, Gone, NotAllowed, Busy) as error:
        return _refused(request, task, form, error)
    messages.success(request, _thanks(request, getattr(form, "lang", None)))
    if request.POST.get("then") == "stop":
        return redirect("dashboard")
    kind = Kind(done.asked_kind) if done.asked_kind else None
    try:
        # Named after this task: sending the answer twice leads to the same next task.
        return _go_to_next(request, kind, done.lang, f"after:{done.pk}")
    except (Busy, NotAllowed) as error:
        messages.info(request, error.message)
        return redirect("dashboard")


def _thanks(request: SignedInRequest, lang: str | None) -> str:
    if lang is None:
        return "Stored. Thank you!"
    stored = f"Stored as {name_of(lang)}. Thank you!"
    if lang in request.user.contribution_languages:
        return stored
    return f"{stored} To be offered work in {name_of(lang)}, choose it in your profile."


def _store(request: SignedInRequest, task: Task, form: Any) -> Task:
    about: dict[str, Any] = {"task_id": task.pk, "user": request.user, "policy": current_policy()}
    match TABLE[Kind(task.kind)].answer:
        case "text":
            return submission.submit_text(text=form.cleaned_data["text"], lang=form.lang, **about)
        case "labels":
            return submission.submit_labels(labels=form.labels, **about)
        case "ranking":
            return submission.submit_ranking(
                ordered_ids=form.ordered_ids, not_rankable=form.cleaned_data["not_rankable"], **about
            )


def _refused(request: SignedInRequest, task: Task, form: Form, error: DomainError) -> HttpResponse:
    """Show the reason at its field, with everything that was typed; a closed task keeps the text as a draft."""
    typed = str(request.POST.get("text", ""))
    if isinstance(error, Gone | Conflict) and error.field is None:
        if typed and task.status == Task.Status.OPEN:
            drafts.save_draft(task_id=task.pk, user=request.user, body={"text": typed})
        return _closed(request, task, error, typed)
    form.add_error(error.field if error.field in form.fields else None, error.message)
    if isinstance(error, Busy):
        response = _page(request, task, form, status_of(error))
        response["Retry-After"] = str(error.retry_after)
        return response
    status = HTTPStatus.CONFLICT if isinstance(error, Conflict) else HTTPStatus.UNPROCESSABLE_ENTITY
    return _page(request, task, form, status)


def _page(request: SignedInRequest, task: Task, form: Any, status: int = HTTPStatus.OK) -> HttpResponse:
    kind = Kind(task.kind)
    row = TABLE[kind]
    shown = [*([task.message] if task.message else []), *getattr(form, "replies", ())]
    if any(one.is_withheld for one in shown):
        # Most often because of what stood in it, so it is not shown to those who still hold the task either.
        gone = Gone("The message was removed meanwhile.", hint="What you wrote is kept below.", code="message_deleted")
        return _closed(request, task, gone, str(request.POST.get("text", "")) or _draft_text(task))
    draft = getattr(task, "draft", None)
    held = Opening.objects.filter(lease=task.pk).values_list("held_until", flat=True).first()
    context = {
        "task": {
            "id": task.pk,
            "kind": task.kind,
            "lang": task.lang,
            "lang_name": name_of(task.lang),
            "expires_at": task.expires_at,
            "lease_until": held,
            "skip_reasons": Skip.Reason.choices,
        },
        "kind": {"key": task.kind, **vars(row)},
        "conversation": conversation_to(task.message, request.user) if task.message else [],
        "form": form,
        "draft_saved_at": draft.updated_at if draft else None,
    }
    return render(request, f"tasks/task_{row.answer}.html", context, status=status)


def _closed(request: SignedInRequest, task: Task, error: DomainError, typed: str) -> HttpResponse:
    """The task takes no answer any more: say why, and give back what was typed."""
    context = {"title": error.message, "hint": error.hint, "typed": typed, "kind": TABLE[Kind(task.kind)]}
    status = HTTPStatus.CONFLICT if isinstance(error, Conflict) else HTTPStatus.GONE
    return render(request, "tasks/closed.html", context, status=status)


def _draft_text(task: Task) -> str:
    draft = getattr(task, "draft", None)
    return str(draft.body.get("text", "")) if draft else ""


def _result_url(task: Task) -> str:
    message_id = task.result_message_id or task.message_id
    return reverse("tree", args=[message_id]) if message_id else reverse("contributions")


@login_required
@require_POST
def skip(request: SignedInRequest, task_id: UUID) -> HttpResponse:
    task = assignment.skip(
        task_id=task_id,
        user=request.user,
        policy=current_policy(),
        reason=request.POST.get("reason", ""),
        note=request.POST.get("note", ""),
    )
    messages.info(request, "Skipped. You will not be asked for this one again.")
    kind = Kind(task.asked_kind) if task.asked_kind else None
    return _go_to_next(request, kind, task.lang, f"after:{task.pk}")


@login_required
@require_POST
def draft(request: SignedInRequest, task_id: UUID) -> HttpResponse:
    drafts.save_draft(task_id=task_id, user=request.user, body={"text": request.POST.get("text", "")})
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


@login_required
@require_POST
def lease(request: SignedInRequest, task_id: UUID) -> HttpResponse:
    assignment.extend_lease(task_id=task_id, user=request.user)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


@login_required
@require_POST
def preview(request: SignedInRequest) -> HttpResponse:
    ratelimit.spend(ratelimit.PREVIEWS, request.user.pk)
    text = request.POST.get("text", "")[: 4 * current_policy().message_size_limit]
    html = markdown.render(text) if text.strip() else ""
    return render(request, "tasks/preview.html", {"html": html})
