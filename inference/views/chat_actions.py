"""Actions on chats: rename, hide, delete, restore, settings and presets."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from inference.chats import changes, chat_settings, creation, deletion
from inference.chats.access import get_chat_for
from inference.forms import SETTINGS, ChatSettingsForm
from inference.policy import current_policy
from inference.views.pages import render_conversation, render_settings
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Conflict, Invalid
from oasst.core.http import kept_forms
from oasst.core.http.kept_forms import keep_until_accepted
from oasst.core.http.requests import safe_next


@keep_until_accepted("chat")
@login_required
@require_POST
def rename(request: SignedInRequest, chat_id: UUID) -> HttpResponse:
    title = request.POST.get("title", "")
    try:
        changes.rename(user=request.user, chat_id=chat_id, title=title, policy=current_policy())
    except Invalid as error:
        kept_forms.set_refused(request, error)
        return render_conversation(request, get_chat_for(request.user, chat_id), error=error)
    return redirect(safe_next(request, reverse("chat", args=[chat_id])))


@login_required
@require_POST
def hide(request: SignedInRequest, chat_id: UUID) -> HttpResponse:
    hidden = request.POST.get("hidden") == "1"
    changes.change_chat(user=request.user, chat_id=chat_id, values={"hidden": hidden}, policy=current_policy())
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


@keep_until_accepted("")
@login_required
@require_POST
def choose(request: SignedInRequest, chat_id: UUID | None = None) -> HttpResponse:
    """Save the settings of a chat, and optionally as a preset."""
    policy = current_policy()
    chat = get_chat_for(request.user, chat_id) if chat_id else None
    form = ChatSettingsForm(request.POST, user=request.user, policy=policy)
    name = request.POST.get("preset_name", "")
    if not form.is_valid():
        return render_settings(request, chat, form=form, preset_name=name)
    not_in_form = {key: value for key, value in chat_settings.settings_of(chat).items() if key not in SETTINGS}
    chosen = {**not_in_form, **form.sampling}
    try:
        if "save_preset" in request.POST:
            chat_settings.save_preset(user=request.user, name=name, chosen=chosen)
        chat = chat or creation.get_or_create_empty_chat(user=request.user)
        changes.save_settings(
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
            return render_settings(request, chat, form=form, error=error, preset_name=name)
        form.add_error(error.field, error.message)
        return render_settings(request, chat, form=form, preset_name=name)
    messages.success(request, f"Kept as “{name}”." if "save_preset" in request.POST else "Saved for this chat.")
    return redirect("chat", chat.pk)


@login_required
@require_POST
def preset(request: SignedInRequest, chat_id: UUID | None = None) -> HttpResponse:
    """Apply a preset to a chat."""
    key = request.POST.get("preset", "")
    chat_settings.get_preset_settings_for(request.user, key)
    chat = get_chat_for(request.user, chat_id) if chat_id else creation.get_or_create_empty_chat(user=request.user)
    changes.apply_preset(user=request.user, chat_id=chat.pk, key=key)
    return redirect("chat", chat.pk)


@login_required
@require_POST
def delete_preset(request: SignedInRequest, preset_id: UUID) -> HttpResponse:
    name = chat_settings.delete_preset(user=request.user, key=str(preset_id))
    messages.success(request, f"The preset “{name}” is gone.")
    return redirect(safe_next(request, reverse("chats")))
