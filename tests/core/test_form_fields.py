"""Form fields for texts: nothing is cut, and an error says why and by how much."""

from collections.abc import Iterator
from typing import Any

import pytest
from django import forms
from django.urls import get_resolver

from inference.forms import ChatSettingsForm
from inference.policy import current_policy
from oasst.accounts.forms import AddAddressForm, CodeForm, DebugLoginForm, ForgotPasswordForm, ProfileForm, SignInForm
from oasst.accounts.models import User
from oasst.accounts.token_views import TokenForm
from oasst.core.form_fields import LineField, TextField
from oasst.core.read_only_admin import ReasonForm
from tasks.forms import TextForm
from trees.admin.messages import EditForm
from trees.admin.webhooks import WebhookForm
from trees.forms import SuggestionForm, WithdrawalForm

OURS = ("inference", "leaderboard", "oasst", "tasks", "trees")


class Note(forms.Form):
    text = TextField(limit=10, required=False)
    title = LineField(limit=10)


def error_of(name: str, value: str) -> str:
    return str(Note({"title": "A title", name: value}).errors[name][0])


class TestFields:
    def test_a_text_keeps_its_shape_and_a_line_is_one(self) -> None:
        form = Note({"text": "\n  a\x0bb\n", "title": " My \u2028 title "})
        assert form.is_valid() and form.cleaned_data == {"text": "  a\nb", "title": "My title"}

    def test_too_much_is_said_and_kept(self) -> None:
        form = Note({"text": "😀" * 12, "title": "A title"})
        assert form.errors["text"] == ["This is 12 characters; 2 too many (at most 10 fit)."]
        assert "😀" * 12 in form.as_p() and 'data-limit="10"' in form.as_p()

    def test_what_can_not_be_stored_is_named(self) -> None:
        assert "U+0000 (null), character 2" in error_of("text", "a\0b")
        assert "U+0007 (bell), character 2" in error_of("title", "a\x07b")

    def test_nothing_visible_is_nothing(self) -> None:
        form = Note({"text": "\u200b", "title": "\u200b"})
        assert list(form.errors) == ["title"] and form.errors["title"] == ["Nothing is written here yet."]
        assert Note({"text": " \u200b\n", "title": "A"}).is_valid()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "form",
    [
        *(TokenForm, WebhookForm, EditForm, ReasonForm, CodeForm, AddAddressForm, ForgotPasswordForm, SignInForm),
        *(DebugLoginForm, Note),
        lambda: ChatSettingsForm(user=User(), policy=current_policy()),
        lambda: ProfileForm(user=User()),
        lambda: SuggestionForm(text_limit=7, filed_as="en", may_move=False),
        lambda: TextForm(text_limit=7, filed_as="en", may_move=True),
    ],
)
def test_no_form_lets_the_browser_cut(form: Any) -> None:
    assert "maxlength" not in "".join(str(field) for field in form())


def test_no_form_at_all_has_such_a_field() -> None:
    get_resolver().url_patterns  # noqa: B018  (all views are there, and so all forms)
    forms_of_ours = [
        one
        for one in subclasses(forms.BaseForm)
        if one.__module__.split(".")[0] in OURS and one.__module__ != "oasst.site.styleguide"  # samples
    ]
    assert {TextForm, EditForm, WithdrawalForm} <= set(forms_of_ours)
    cutting = [
        f"{one.__qualname__}.{name}"
        for one in forms_of_ours
        for name, field in getattr(one, "base_fields", {}).items()
        if "maxlength" in field.widget.attrs
    ]
    assert cutting == []


def subclasses(of: type[Any]) -> Iterator[type[Any]]:
    for one in of.__subclasses__():
        yield one
        yield from subclasses(one)
