"""Actions in a conversation. Each reads a form, calls one service and redirects to the page."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from inference.chats import asking, changes, feedback
from inference.chats.access import get_chat_for, get_message_for
from inference.models import ChatMessage, Turn
from inference.policy import current_policy
from inference.views.pages import render_conversation
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Busy, Conflict, Invalid
from oasst.core.http import kept_forms
from oasst.core.http.kept_forms import keep_until_accepted


@keep_until_accepted("chats")
@login_required
@require_POST
def begin(request: SignedInRequest) -> HttpResponse:
    """Ask the first question of a new chat."""
    text = request.POST.get("text", "")
    try:
        turn = asking.start_chat(user=request.user, text=text, policy=current_policy())
    except (Invalid, Conflict, Busy) as error:
        return render_conversation(request, error=error, typed=text)
    return _redirect_to_question(turn)


@keep_until_accepted("chat")
@login_required
@require_POST
def ask(request: SignedInRequest, chat_id: UUID) -> HttpResponse:
    """Ask a question below an answer, or with `editing` another wording of a message."""
    chat = get_chat_for(request.user, chat_id)
    text, editing = request.POST.get("text", ""), _uuid(request.POST.get("editing"))
    try:
        turn = asking.start_turn(
            user=request.user,
            chat_id=chat_id,
            text=text,
            policy=current_policy(),
            parent_id=_uuid(request.POST.get("parent")),
            **asking.turn_options(request.user, chat),
        )
    except (Invalid, Conflict, Busy) as error:
        return render_conversation(request, chat, error=error, typed=text, editing=editing)
    return _redirect_to_question(turn)


@login_required
@require_POST
def again(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    """Ask for another answer to a question."""
    chat = get_message_for(request.user, message_id).chat
    try:
        turn = asking.answer_again(
            user=request.user, message_id=message_id, policy=current_policy(), **asking.turn_options(request.user, chat)
        )
    except (Invalid, Conflict, Busy) as error:
        return render_conversation(request, chat, error=error)
    return _redirect_to_question(turn)


@login_required
@require_POST
def stop(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    message = get_message_for(request.user, message_id)
    asking.stop_turn(user=request.user, message_id=message_id)
    return _redirect_to_message(message.chat_id, message_id)


@login_required
@require_POST
def look(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    """Switch to the branch of this message, down to its newest reply."""
    chat_id = get_message_for(request.user, message_id).chat_id
    tail = ChatMessage.objects.newest_descendant(message_id)
    changes.change_chat(user=request.user, chat_id=chat_id, values={}, policy=current_policy(), active_tail=tail)
    return _redirect_to_message(chat_id, message_id)


@login_required
@require_POST
def vote(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    score = request.POST.get("score", "")
    if score not in ("1", "0", "-1"):
        raise Invalid("A vote is 1, -1 or 0.", code="bad_score", field="score")
    feedback.vote(user=request.user, message_id=message_id, score=int(score))
    return _redirect_to_message(get_message_for(request.user, message_id).chat_id, message_id)


@keep_until_accepted("")
@login_required
@require_POST
def report(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    chat = get_message_for(request.user, message_id).chat
    kind, reason = request.POST.get("kind", ""), request.POST.get("reason", "")
    try:
        feedback.report(user=request.user, message_id=message_id, kind=kind, reason=reason)
    except Invalid as error:
        kept_forms.set_refused(request, error)
        return render_conversation(request, chat, error=error)
    messages.success(request, "Thank you. A moderator will look at this answer.")
    return _redirect_to_message(chat.pk, message_id)


def _redirect_to_question(turn: Turn) -> HttpResponse:
    return _redirect_to_message(turn.message.chat_id, turn.message.parent_id)


def _redirect_to_message(chat_id: UUID, message_id: UUID | None) -> HttpResponse:
    return redirect(f"{reverse('chat', args=[chat_id])}#message-{message_id}")


def _uuid(text: str | None) -> UUID | None:
    """Return None only for an empty value: a malformed id must not start a new branch. Raise Invalid."""
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise Invalid("This message does not exist.", code="message_not_found") from error
