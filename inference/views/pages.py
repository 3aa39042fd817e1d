"""Read-only pages of the chat: the list, a conversation, its settings."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from inference.chats import chat_settings
from inference.chats.access import get_chat_for
from inference.chats.conversation import conversation_of
from inference.chats.feedback import REPORT_LENGTH
from inference.chats.listing import MAX_SEARCH_LENGTH, ChatFilter, CursorPage, page_by_cursor
from inference.forms import ChatSettingsForm, form_values
from inference.models import Chat, ChatReport
from inference.policy import current_policy
from inference.registry.offer import models_for
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Busy, DomainError, Invalid, NotFound
from oasst.core.http import kept_forms
from oasst.core.http.error_views import status_of

LIST_SIZE = 30
EXAMPLES = (
    ("Explain", "Explain how a rainbow comes about, to a child of eight."),
    ("Write", "Write a short, friendly note to a neighbor whose dog barks at night."),
    ("Code", "Write a Python function that says whether a word is a palindrome, and test it."),
    ("Plan", "Plan three simple dinners for a week in which I have little time."),
)


@login_required
@require_safe
def home(request: SignedInRequest) -> HttpResponse:
    """The start of a new chat, beside the list of chats."""
    return render_conversation(request)


@login_required
@require_safe
def chat_list(request: SignedInRequest) -> HttpResponse:
    """All chats, with search, hidden ones and pages."""
    text, hidden = request.GET.get("q", "").strip(), bool(request.GET.get("hidden"))
    filters = ChatFilter(search=text, hidden=None if text else hidden)
    refusal = None
    try:
        page = page_by_cursor(
            request.user, filters, size=LIST_SIZE, after=request.GET.get("older"), before=request.GET.get("newer")
        )
    except Invalid as error:
        if error.field != "search":
            raise
        page, refusal = CursorPage(chats=[], next=None, prev=None), error

    def url(**cursor: str) -> str:
        query = {"q": text, "hidden": "1" if hidden else "", **cursor}
        return f"{reverse('chat_list')}?{urlencode({name: value for name, value in query.items() if value})}"

    context = {
        "page": page,
        "query": text,
        "refusal": refusal,
        "hidden": hidden,
        "previous_url": url(newer=page.prev) if page.prev else "",
        "next_url": url(older=page.next) if page.next else "",
        "title_limit": current_policy().title_length,
        "search_limit": MAX_SEARCH_LENGTH,
        "here": request.get_full_path(),
        "deleted": _deleted_chat(request),
        "models": models_for(request.user),
    }
    return with_error(render(request, "chat/list.html", context), refusal)


@login_required
@require_safe
def conversation(request: SignedInRequest, chat_id: UUID) -> HttpResponse:
    return render_conversation(request, get_chat_for(request.user, chat_id))


@login_required
@require_safe
def settings(request: SignedInRequest, chat_id: UUID) -> HttpResponse:
    """The settings panel as a page of its own."""
    return render_settings(request, get_chat_for(request.user, chat_id))


def render_conversation(
    request: SignedInRequest,
    chat: Chat | None = None,
    *,
    error: DomainError | None = None,
    typed: str = "",
    editing: UUID | None = None,
) -> HttpResponse:
    """Render a conversation or the start of one; after an error with its message and the typed text."""
    if error is None:
        typed, editing = _kept_question(request, chat)
    upto = _uuid_or_none(request.GET.get("upto"))
    talk = conversation_of(chat, upto) if chat is not None else None
    if talk is not None and upto is not None and not talk.shown_messages:
        raise NotFound("There is no such message in this chat.", code="message_not_found")
    policy = current_policy()
    presets = chat_settings.presets_for(request.user, chat)
    context = {
        "chat": chat,
        "talk": talk,
        "page": page_by_cursor(request.user, ChatFilter(), size=LIST_SIZE),
        "examples": EXAMPLES,
        "models": models_for(request.user),
        "model_name": _model_name(request, chat),
        "settings_form": _choices_form(request, chat),
        "presets": presets,
        "preset_on": next((preset.name for preset in presets if preset.on), "Own settings"),
        "report_kinds": ChatReport.Kind.choices,
        "report_limit": REPORT_LENGTH,
        "text_limit": policy.message_length,
        "error": error,
        "typed": typed,
        "editing": editing,
        "title_limit": policy.title_length,
        "search_limit": MAX_SEARCH_LENGTH,
        "preset_name_limit": chat_settings.NAME_LENGTH,
        "here": request.path,
        "deleted": None if chat is not None else _deleted_chat(request),
    }
    return with_error(render(request, "chat/chat.html", context), error)


def render_settings(
    request: SignedInRequest,
    chat: Chat | None,
    *,
    form: ChatSettingsForm | None = None,
    error: DomainError | None = None,
    preset_name: str = "",
) -> HttpResponse:
    context = {
        "chat": chat,
        "models": models_for(request.user),
        "settings_form": form or _choices_form(request, chat),
        "presets": chat_settings.presets_for(request.user, chat),
        "preset_name": preset_name,
        "preset_name_limit": chat_settings.NAME_LENGTH,
        "error": error,
    }
    response = render(request, "chat/settings.html", context)
    if form is not None and form.errors and error is None:
        response.status_code = 422
    return with_error(response, error)


def _kept_question(request: SignedInRequest, chat: Chat | None) -> tuple[str, UUID | None]:
    """Return the text of a refused question, and the message that it edits."""
    action = reverse("chat_ask", args=[chat.pk]) if chat is not None else reverse("chat_begin")
    refused = kept_forms.find_kept_form(request, action)
    return (refused.fields.get("text", ""), _uuid_or_none(refused.fields.get("editing"))) if refused else ("", None)


def _choices_form(request: SignedInRequest, chat: Chat | None) -> ChatSettingsForm:
    action = reverse("chat_choose", args=[chat.pk]) if chat is not None else reverse("chat_choose_new")
    if refused := kept_forms.find_kept_form(request, action):
        chosen: dict[str, Any] = {name.removeprefix("set-"): value for name, value in refused.fields.items()}
        chosen["allow_data_use"] = "allow_data_use" in chosen
    else:
        chosen = form_values(chat) if chat is not None else {}
    return ChatSettingsForm(initial=chosen, user=request.user, policy=current_policy())


def _model_name(request: SignedInRequest, chat: Chat | None) -> str:
    """Return the name of the model that answers next, without its owner."""
    offered = models_for(request.user)
    name = chat.model if chat is not None and chat.model in offered else next(iter(offered), "")
    return name.rpartition("/")[2]


def _deleted_chat(request: SignedInRequest) -> Chat | None:
    """Return the chat that was just deleted, if it can be restored."""
    chat_id = _uuid_or_none(request.GET.get("deleted"))
    if chat_id is None:
        return None
    return Chat.objects.filter(pk=chat_id, user=request.user, deleted_at__isnull=False).first()


def _uuid_or_none(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def with_error(response: HttpResponse, error: DomainError | None) -> HttpResponse:
    """Give a page the status of its error, and a time if it may be tried again."""
    if error is not None:
        response.status_code = status_of(error)
        if isinstance(error, Busy):
            response["Retry-After"] = str(error.retry_after)
    return response
