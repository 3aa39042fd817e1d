"""The form of the settings of notices."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from oasst.site.models import NoticeAccount
from oasst.site.notices.wording import KIND_NAMES

Digest = NoticeAccount.Digest


class NoticeSettingsForm(forms.Form):
    """Which kinds to be told of, and how often by mail. Without mail on this site it does not ask for the latter."""

    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("Tell me when"),
        choices=list(KIND_NAMES.items()),
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    digest = forms.ChoiceField(
        label=gettext_lazy("By mail, what I have not read here"),
        choices=[
            (Digest.NONE, gettext_lazy("never")),
            (Digest.DAILY, gettext_lazy("every day")),
            (Digest.WEEKLY, gettext_lazy("once a week")),
        ],
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, has_mail: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not has_mail:
            del self.fields["digest"]


def initial_of(account: NoticeAccount) -> dict[str, Any]:
    return {"kinds": [kind for kind in KIND_NAMES if kind not in account.muted], "digest": account.digest}
