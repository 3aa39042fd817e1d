"""What is done with whole chats: their names, hiding, deleting and taking back, and how they are set."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from inference.chats import changes, chat_settings, creation, deletion
from inference.chats.access import get_chat_for
from inference.forms import SETTINGS, ChoicesForm
from inference.models import Chat
from inference.policy import current_policy
from inference.views.pages import show, show_settings
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Conflict, Invalid
from oasst.core.http import kept_forms
from oasst.core.http.kept_forms import keeps_words
from oasst.core.http.requests import safe_next


@keeps_words("chat")
@login_required
@require_POST
def rename(request: SignedInRequest, chat_id: UUID) -> HttpResponse:
    title = request.POST.get("title", "")
    try:
        changes.rename(user=request.user, chat_id=chat_id, title=title, policy=current_policy())
    except Invalid as error:
        kept_forms.show_refused(request, error)
        return show(request, get_chat_for(request.user, chat_id), error=error)
    return redirect(safe_next(request, reverse("chat", args=[chat_id])))


@login_required
@require_POST
def hide(request: SignedInRequest, chat_id: UUID) -> HttpResponse:
    hidden = request.POST.get("hidden") == "1"
    changes.hide(user=request.user, chat_id=chat_id, hidden=hidden)
    messages.success(request, "Hidden. You find it under “Hidden chats”." if hidden else "Back in your list.")
    return redirect(safe_next(request, reverse("chats")))


@login_required
@require_POST
def delete(request: SignedInRequest, chat_id: UUID) -> HttpResponse:
    deletion.delete_chat(user=request.user, chat_id=chat_id)
    return redirect(f"{reverse('chats')}?deleted={chat_id}")


@login_required
@require_POST
def undelete(request: SignedInRequest, chat_id: UUID) -> HttpResponse:
    deletion.undelete_chat(user=request.user, chat_id=chat_id)
    messages.success(request, "Your chat is back.")
    return redirect("chat", chat_id)


@keeps_words("")
@login_required
@require_POST
def choose(request: SignedInRequest, chat_id: UUID | None = None) -> HttpResponse:
    """How answers are asked for from now on; and keeping that under a name."""
    policy = current_policy()
    chat = get_chat_for(request.user, chat_id) if chat_id else None
    form = ChoicesForm(request.POST, policy=policy)
    name = request.POST.get("preset_name", "")
    if not form.is_valid():
        return show_settings(request, chat, form=form, preset_name=name)
    kept = {key: value for key, value in chat_settings.settings_of(chat).items() if key not in SETTINGS}
    chosen = {**kept, **form.sampling}
    try:
        if "save_preset" in request.POST:
            chat_settings.save_preset(user=request.user, name=name, chosen=chosen)
        chat = chat or _new_chat(request)
        changes.choose(
            user=request.user,
            chat_id=chat.pk,
            policy=policy,
            model=form.cleaned_data["model"],
            chosen=chosen,
            allow_data_use=form.cleaned_data["allow_data_use"],
            **form.instructions,
        )
    except (Invalid, Conflict) as error:
        if error.field not in form.fields:
            return show_settings(request, chat, form=form, error=error, preset_name=name)
        form.add_error(error.field, error.message)
        return show_settings(request, chat, form=form, preset_name=name)
    messages.success(request, f"Kept as “{name}”." if "save_preset" in request.POST else "Saved for this chat.")
    return redirect("chat", chat.pk)


@login_required
@require_POST
def preset(request: SignedInRequest, chat_id: UUID | None = None) -> HttpResponse:
    """Set the chat like a preset."""
    key = request.POST.get("preset", "")
    chat_settings.get_preset_for(request.user, key)
    chat = get_chat_for(request.user, chat_id) if chat_id else _new_chat(request)
    changes.apply_preset(user=request.user, chat_id=chat.pk, key=key)
    return redirect("chat", chat.pk)


@login_required
@require_POST
def delete_preset(request: SignedInRequest, preset_id: UUID) -> HttpResponse:
    name = chat_settings.delete_preset(user=request.user, key=str(preset_id))
    messages.success(request, f"The preset “{name}” is gone.")
    return redirect(safe_next(request, reverse("chats")))


def _new_chat(request: SignedInRequest) -> Chat:
    """Set before the first word: an empty chat, or the one that waits from the last time."""
    return creation.empty_chat(user=request.user)
