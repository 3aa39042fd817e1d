"""The settings form of a chat."""

from typing import Any

from django import forms

from inference.chats import chat_settings
from inference.chats.chat_settings import INSTRUCTIONS
from inference.engine.sampling import MAX_SEED
from inference.models import Chat
from inference.policy import ChatPolicy
from inference.registry.offer import models_for
from oasst.accounts.models import User

SETTINGS = ("temperature", "top_p", "top_k", "repetition_penalty", "max_tokens", "seed")
_DECIMAL: Any = {"step_size": 0.01, "required": False}


class ChatSettingsForm(forms.Form):
    """Empty numbers mean the defaults. The ranges are those that make sense on a page."""

    model = forms.ChoiceField()
    temperature = forms.FloatField(
        min_value=0, max_value=2, help_text="Low is predictable, high is daring.", **_DECIMAL
    )
    top_p = forms.FloatField(
        min_value=0.01, max_value=1, help_text="Keeps the likeliest words up to this sum.", **_DECIMAL
    )
    top_k = forms.IntegerField(
        min_value=0, max_value=2000, required=False, help_text="Keeps so many of the likeliest words. 0 keeps all."
    )
    repetition_penalty = forms.FloatField(
        min_value=0.5, max_value=3, help_text="Above 1, words are less often said again.", **_DECIMAL
    )
    max_tokens = forms.IntegerField(
        min_value=1,
        max_value=4096,
        required=False,
        label="Longest answer",
        help_text="In tokens, about ¾ of a word each.",
    )
    seed = forms.IntegerField(
        min_value=0, max_value=MAX_SEED, required=False, help_text="The same number gives the same answer again."
    )
    system_prompt = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What the model is told before this chat.",
    )
    user_profile = forms.CharField(
        required=False, strip=False, label="About you", widget=forms.Textarea(attrs={"rows": 3})
    )
    response_instructions = forms.CharField(
        required=False, strip=False, label="How to answer", widget=forms.Textarea(attrs={"rows": 3})
    )
    allow_data_use = forms.BooleanField(
        required=False,
        label="May help to improve the assistant",
        help_text="What you say here, and your thumbs. A first question that was answered badly may be proposed to "
        "moderators as a prompt, without your name and with personal data masked.",
    )

    prefix = "set"

    def __init__(self, *args: Any, user: User, policy: ChatPolicy, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model: Any = self.fields["model"]
        model.choices = [(name, name.rpartition("/")[2]) for name in models_for(user)]
        for name in INSTRUCTIONS:
            self.fields[name].widget.attrs["data-limit"] = policy.instructions_length

    @property
    def sampling(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in SETTINGS}

    @property
    def instructions(self) -> dict[str, str]:
        return {name: self.cleaned_data[name] for name in INSTRUCTIONS}


def form_values(chat: Chat) -> dict[str, Any]:
    """Return the initial values of the form for a chat."""
    return {
        **chat_settings.settings_of(chat),
        "model": chat.model,
        "allow_data_use": chat.allow_data_use,
        **{name: getattr(chat, name) for name in INSTRUCTIONS},
    }
