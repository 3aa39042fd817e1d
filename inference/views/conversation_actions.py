"""What is done in a conversation. Each takes a form, calls one service and goes back to the page."""

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
from inference.views.pages import show
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Busy, Conflict, Invalid
from oasst.core.http import kept_forms
from oasst.core.http.kept_forms import keeps_words


@keeps_words("chats")
@login_required
@require_POST
def begin(request: SignedInRequest) -> HttpResponse:
    """The first question of a new chat."""
    text = request.POST.get("text", "")
    try:
        turn = asking.begin_chat(user=request.user, text=text, policy=current_policy())
    except (Invalid, Conflict, Busy) as error:
        return show(request, error=error, typed=text)
    return _to(turn)


@keeps_words("chat")
@login_required
@require_POST
def ask(request: SignedInRequest, chat_id: UUID) -> HttpResponse:
    """A question below an answer; with `editing`, another wording of a message, beside it."""
    chat = get_chat_for(request.user, chat_id)
    text, editing = request.POST.get("text", ""), _uuid(request.POST.get("editing"))
    try:
        turn = asking.start_turn(
            user=request.user,
            chat_id=chat_id,
            text=text,
            policy=current_policy(),
            parent_id=_uuid(request.POST.get("parent")),
            **asking.settings_for(chat),
        )
    except (Invalid, Conflict, Busy) as error:
        return show(request, chat, error=error, typed=text, editing=editing)
    return _to(turn)


@login_required
@require_POST
def again(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    """One more answer to a question, beside those that are there."""
    chat = get_message_for(request.user, message_id).chat
    try:
        turn = asking.answer_again(
            user=request.user, message_id=message_id, policy=current_policy(), **asking.settings_for(chat)
        )
    except (Invalid, Conflict, Busy) as error:
        return show(request, chat, error=error)
    return _to(turn)


@login_required
@require_POST
def stop(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    message = get_message_for(request.user, message_id)
    asking.stop_turn(user=request.user, message_id=message_id)
    return _back(message.chat_id, message_id)


@login_required
@require_POST
def look(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    """Go to the branch of this message, to its newest end."""
    chat_id = get_message_for(request.user, message_id).chat_id
    changes.look_at(user=request.user, chat_id=chat_id, message_id=ChatMessage.objects.newest_below(message_id))
    return _back(chat_id, message_id)


@login_required
@require_POST
def vote(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    score = request.POST.get("score", "")
    if score not in ("1", "0", "-1"):
        raise Invalid("A vote is 1, -1 or 0.", code="bad_score", field="score")
    feedback.vote(user=request.user, message_id=message_id, score=int(score))
    return _back(get_message_for(request.user, message_id).chat_id, message_id)


@keeps_words("")
@login_required
@require_POST
def report(request: SignedInRequest, message_id: UUID) -> HttpResponse:
    chat = get_message_for(request.user, message_id).chat
    kind, reason = request.POST.get("kind", ""), request.POST.get("reason", "")
    try:
        feedback.report(user=request.user, message_id=message_id, kind=kind, reason=reason)
    except Invalid as error:
        kept_forms.show_refused(request, error)
        return show(request, chat, error=error)
    messages.success(request, "Thank you. A moderator will look at this answer.")
    return _back(chat.pk, message_id)


def _to(turn: Turn) -> HttpResponse:
    return _back(turn.message.chat_id, turn.message.parent_id)


def _back(chat_id: UUID, message_id: UUID | None) -> HttpResponse:
    return redirect(f"{reverse('chat', args=[chat_id])}#message-{message_id}")


def _uuid(given: str | None) -> UUID | None:
    """None where there is none. One that can not be read is refused: it must not become a new beginning."""
    if not given:
        return None
    try:
        return UUID(given)
    except ValueError as error:
        raise Invalid("This message does not exist.", code="message_not_found") from error
