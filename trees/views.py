"""Pages about the data set: a user's contributions and one tree."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from oasst.accounts.models import User
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Conflict, Gone, Invalid, NotFound
from oasst.core.http import kept_forms
from oasst.core.http.kept_forms import keep_until_accepted
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.text.diff import word_diff
from oasst.core.text.languages import name_of
from trees import being_reviewed, queries
from trees.contributing import corrections, reactions, reviews, withdrawal
from trees.forms import ContributionsForm, SuggestionForm, WithdrawalForm
from trees.interchange.snapshots.published import published_snapshots
from trees.label_questions import LabelQuestions
from trees.lifecycle.states import TABLE, State
from trees.models import Message, Report, Review, Role, Withdrawal
from trees.moderation import appealing, personal_data
from trees.policies.reading import current_policy


@login_required
@require_safe
def contributions(request: SignedInRequest) -> HttpResponse:
    form = ContributionsForm(request.GET)
    page = queries.ContributionPage([], None, None)
    if form.is_valid():
        page = queries.contributions_of(
            request.user, only=form.filter(), older=request.GET.get("older"), newer=request.GET.get("newer")
        )
    kind = request.GET.get("kind", "")
    decisions = appealing.decisions_about(request.user, [row.id for row in page.rows if row.tree_id])

    def page_url(**changes: str | None) -> str:
        given: dict[str, str | None] = {name: request.GET.get(name) for name in form.fields}
        query = urlencode({name: value for name, value in {**given, **changes}.items() if value})
        return reverse("contributions") + (f"?{query}" if query else "")

    kinds: Any = form.fields["kind"]
    context = {
        "form": form,
        "rows": [replace(row, decision=decisions.get(row.id)) for row in page.rows],
        "asked_about": [
            (message.pk, plain_excerpt(message.text, queries.EXCERPT))
            for message in personal_data.texts_to_ask_about(request.user)
        ],
        "filters": [(value, label, value == kind, page_url(kind=value)) for value, label in kinds.choices],
        "is_filtered": any(request.GET.get(name) for name in form.fields if name != "kind"),
        "previous_url": page_url(newer=page.newer) if page.newer else "",
        "next_url": page_url(older=page.older) if page.older else "",
    }
    status = HTTPStatus.OK if form.is_valid() else HTTPStatus.BAD_REQUEST
    return render(request, "trees/contributions.html", context, status=status)


def closed_while_reviewing(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Instead of a page about a message, say that the reader has an open review in its conversation, if so."""

    @wraps(view)
    def page(request: HttpRequest, message_id: UUID) -> HttpResponse:
        task_id = being_reviewed.find_task(_reader(request), message_id)
        return view(request, message_id) if task_id is None else _being_reviewed(request, task_id)

    return page


def _being_reviewed(request: HttpRequest, task_id: UUID) -> HttpResponse:
    return render(request, "trees/being_reviewed.html", {"task_id": task_id}, status=HTTPStatus.CONFLICT)


@closed_while_reviewing
@require_safe
def tree(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """Show the conversation around a message; visitors see it if it is published, else they are asked to sign in."""
    try:
        return _tree_page(request, message_id)
    except NotFound:
        if request.user.is_authenticated:
            raise
        return redirect_to_login(request.get_full_path())


def _reader(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _tree_page(request: HttpRequest, message_id: UUID, status: int = HTTPStatus.OK) -> HttpResponse:
    """Render the conversation around a message."""
    reader = _reader(request)
    message_tree, root = queries.get_tree_for(reader, message_id)
    row = TABLE[State(message_tree.state)]
    size, target, waiting = 0, root, [root]
    while waiting:
        message = waiting.pop()
        size += message.state in (None, "accepted")
        target = message if message.id == message_id else target
        waiting.extend(message.replies)
    context = {
        "tree": {
            "id": message_tree.pk,
            "state": message_tree.state,
            "state_label": row.label,
            "lang": message_tree.lang,
            "lang_name": name_of(message_tree.lang),
            "message_count": size,
            "goal": message_tree.goal_tree_size if row.active else None,
        },
        "root": root,
        "target": target,
        "target_id": message_id,
        "is_visitor": reader is None,
        "site_url": settings.PUBLIC_URL,
        # Its reasons are written for people who take part.
        "timeline": queries.timeline_of(message_tree) if reader else [],
        "snapshot": published_snapshots().first() if message_tree.state == State.READY_FOR_EXPORT else None,
        "report_categories": Report.Category.choices,
        "report_limit": reactions.LONGEST_REPORT,
    }
    response = render(request, "trees/tree.html", context, status=status)
    if reader is not None:
        response["X-Robots-Tag"] = "noindex"
    return response


@closed_while_reviewing
@require_safe
def message_text(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """Return a message as it was typed."""
    return _as_text(request, message_id, lambda path: path[-1].text)


@closed_while_reviewing
@require_safe
def message_markdown(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """Return the conversation up to a message as Markdown, with a heading for each speaker."""
    speakers = {Role.PROMPTER.value: _("User"), Role.ASSISTANT.value: _("Assistant")}
    return _as_text(
        request, message_id, lambda path: "\n\n".join(f"## {speakers[m.role]}\n\n{m.text}" for m in path) + "\n"
    )


def _as_text(request: HttpRequest, message_id: UUID, write: Callable[[list[Message]], str]) -> HttpResponse:
    reader = _reader(request)
    try:
        path = queries.get_path_for(reader, message_id)
    except NotFound:
        if reader is not None:
            raise
        return redirect_to_login(request.get_full_path())
    # Plain text, which no browser runs or downloads.
    response = HttpResponse(write(path), content_type="text/plain; charset=utf-8")
    response["X-Robots-Tag"] = "noindex"
    return response


@keep_until_accepted("message_label")
@login_required
@closed_while_reviewing
@require_http_methods(["GET", "HEAD", "POST"])
def label(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    """Ask what somebody thinks of a message that no task gave them, and store the answers."""
    policy = current_policy()
    message = reviews.get_labelable_for(request.user, message_id)
    asked = reviews.requested_labels(message, Review.Mode.FULL, policy)
    kept = kept_forms.find_kept_form(request, request.path)
    initial = kept.fields.dict() if kept else reviews.find_free_labels(request.user, message_id)
    form = LabelQuestions(request.POST if request.method == "POST" else None, asked=asked, initial=initial)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
    if request.method == "POST" and form.is_valid():
        try:
            reviews.label_freely(message_id=message_id, user=request.user, labels=form.labels, policy=policy)
        except Invalid as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
            status = HTTPStatus.UNPROCESSABLE_ENTITY
        else:
            messages.success(request, _("Your labels are stored. They help research, and change nothing here."))
            return redirect(_message_url(message_id))
    context = {
        "form": form,
        "conversation": queries.conversation_to(message, request.user),
        "back_url": _message_url(message_id),
    }
    return render(request, "trees/label.html", context, status=status)


@login_required
@require_POST
def react(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    reactions.set_reaction(message_id=message_id, user=request.user, emoji=request.POST.get("emoji", ""))
    return redirect(_message_url(message_id))


@keep_until_accepted("tree")
@login_required
@require_POST
def report(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    """Store a report, and lead back to the message, or to the task in which the reader reviews its conversation."""
    category, text = request.POST.get("category", ""), request.POST.get("text", "")
    try:
        stored = reactions.report(message_id=message_id, reporter=request.user, category=category, text=text)
    except Invalid as error:
        kept_forms.set_refused(request, error)
        if task_id := being_reviewed.find_task(request.user, message_id):
            messages.error(request, error.message)
            return _being_reviewed(request, task_id)
        return _tree_page(request, message_id, HTTPStatus.BAD_REQUEST)
    if stored.status == Report.Status.OPEN:
        messages.success(
            request,
            _("Thank you. A moderator will look at it. You see the answer under “My reports” in your profile."),
        )
    else:
        messages.info(
            request,
            _(
                "You reported this text before, and a moderator has answered: see “My reports” in your profile. "
                "Nothing new was sent."
            ),
        )
    task_id = being_reviewed.find_task(request.user, message_id)
    return redirect(_message_url(message_id)) if task_id is None else redirect("task", task_id)


@keep_until_accepted("message_suggest")
@login_required
@closed_while_reviewing
@require_http_methods(["GET", "HEAD", "POST"])
def suggest(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    """Suggest another text for a message of another author."""
    limit = current_policy().message_size_limit
    original = corrections.get_correctable_for(request.user, message_id)
    kept = kept_forms.find_kept_form(request, request.path)
    initial = {"text": original.text, **(kept.fields.dict() if kept else {})}
    form = SuggestionForm(
        request.POST or None, initial=initial, text_limit=limit, filed_as=original.lang, may_move=False
    )
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
    if request.method == "POST" and form.is_valid():
        try:
            stored = corrections.suggest(
                message_id=message_id, user=request.user, text=form.cleaned_data["text"], policy=current_policy()
            )
        except (Invalid, Conflict, Gone) as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
            status = HTTPStatus.UNPROCESSABLE_ENTITY if isinstance(error, Invalid) else HTTPStatus.CONFLICT
        else:
            messages.success(request, _("Stored beside the other text. People will review it. Thank you!"))
            return redirect(_message_url(stored.pk))
    context = {
        "form": form,
        "conversation": queries.conversation_to(original, request.user),
        "back_url": _message_url(message_id),
        "changes": word_diff(original.text, form["text"].value() or "") if form.is_bound else [],
    }
    return render(request, "trees/suggest.html", context, status=status)


@keep_until_accepted("message_withdraw")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def withdraw(request: SignedInRequest, own_message_id: UUID) -> HttpResponse:
    """Say what withdrawing one's own message would do, and do it on POST."""
    kept = kept_forms.find_kept_form(request, request.path)
    initial = kept.fields.dict() if kept else {}
    form = WithdrawalForm(request.POST if request.method == "POST" else None, initial=initial)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
    if request.method == "POST" and form.is_valid():
        try:
            withdrawn = withdrawal.withdraw(
                message_id=own_message_id,
                author=request.user,
                reason=form.cleaned_data["reason"],
                policy=current_policy(),
            )
        except Invalid as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
            status = HTTPStatus.UNPROCESSABLE_ENTITY
        except Conflict:  # the page explains it
            status = HTTPStatus.CONFLICT
        else:
            is_deleted = withdrawn.status == Withdrawal.Status.GRANTED
            removed, hidden = _("Your text is removed."), _("Your text is hidden from everybody but the moderators.")
            messages.success(request, removed if is_deleted else hidden)
            return redirect("contributions")
    outlook = withdrawal.get_preview_for(request.user, own_message_id)
    context = {
        "form": form,
        "outlook": outlook,
        "conversation": queries.conversation_to(outlook.message, request.user),
        "back_url": reverse("contributions"),
    }
    return render(request, "trees/withdraw.html", context, status=status)


@login_required
@require_POST
def withdraw_undo(request: SignedInRequest, own_message_id: UUID) -> HttpResponse:
    try:
        withdrawal.undo(message_id=own_message_id, author=request.user, policy=current_policy())
    except Conflict as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("Your text is where it was, and can be read again."))
    return redirect("contributions")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def own_personal_data(request: SignedInRequest, own_message_id: UUID) -> HttpResponse:
    """Ask about personal data in one's own text that an API client sent; on POST, mask it or let it stay."""
    status = HTTPStatus.OK
    if request.method == "POST":
        about: dict[str, Any] = {"message_id": own_message_id, "revision_id": request.POST.get("revision", "")}
        try:
            if request.POST.get("answer") == "mask":
                personal_data.mask_own(**about, author=request.user, policy=current_policy())
                messages.success(request, _("Your text is masked. Thank you!"))
            else:
                personal_data.keep_own(**about, author=request.user)
                messages.success(request, _("Your text stays as it is."))
        except Conflict as error:
            messages.error(request, error.message)
            status = HTTPStatus.CONFLICT
        else:
            return redirect("contributions")
    suggestion = personal_data.get_suggestion_for(request.user, own_message_id)
    return render(request, "trees/personal_data.html", {"suggestion": suggestion}, status=status)


def _message_url(message_id: UUID) -> str:
    return reverse("tree", args=[message_id]) + f"#message-{message_id}"
