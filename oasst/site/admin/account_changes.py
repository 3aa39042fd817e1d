"""The page of the admin where staff change the account of somebody else."""

from operator import itemgetter
from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from oasst.accounts import account_changes
from oasst.accounts.authentication.proof import is_recently_proved
from oasst.accounts.authentication.reauthentication import redirect_to_proof
from oasst.accounts.forms import add_domain_error
from oasst.accounts.groups import ADMINISTER, Duty
from oasst.accounts.models import Role, User
from oasst.accounts.roles import require_higher_rank
from oasst.core.errors import DomainError
from oasst.core.form_fields import LineField, TextField
from oasst.core.locks import timeouts_as_busy
from oasst.core.read_only_admin import ReadOnlyAdmin
from oasst.core.text.languages import LANGUAGES, name_of
from trees.moderation.queries import languages as used_languages


class AccountForm(forms.Form):
    """What was not touched is not sent to the service, so nobody overwrites what another moderator has just changed."""

    display_name = LineField(label=_("Display name"), widget=UnfoldAdminTextInputWidget, show_hidden_initial=True)
    role = forms.ChoiceField(
        label=_("Role"),
        choices=Role.choices,
        widget=UnfoldAdminSelectWidget,
        show_hidden_initial=True,
        help_text=_("Moderators enter this area. Administrators also decide about moderators, programs and settings."),
    )
    duties = forms.MultipleChoiceField(
        label=_("Duties"),
        choices=Duty.choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        show_hidden_initial=True,
        help_text=_(
            "Operators run the site (schedules, settings, programs) and read no texts. Auditors read everything here, "
            "the audit log too, and change nothing."
        ),
    )
    moderated_languages = forms.MultipleChoiceField(
        label=_("Moderates"),
        required=False,
        widget=UnfoldAdminSelectMultipleWidget({"size": 8}),
        show_hidden_initial=True,
        help_text=_("In which languages a moderator decides. None chosen means all. They may read every language."),
    )
    show_on_leaderboard = forms.BooleanField(
        label=_("Shown on the leaderboard"), required=False, widget=UnfoldBooleanSwitchWidget, show_hidden_initial=True
    )
    notes = TextField(
        label=_("Notes"),
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 4, "data-limit": account_changes.NOTES_LIMIT}),
        show_hidden_initial=True,
        help_text=_("Seen by moderators only."),
    )
    reason = LineField(
        label=_("Reason"),
        widget=UnfoldAdminTextInputWidget,
        limit=500,
        help_text=_("Kept in the history of this account, for other moderators."),
    )

    def __init__(self, *args: Any, person: User, actor: User, **kwargs: Any) -> None:
        kwargs["initial"] = {name: getattr(person, name) for name in account_changes.FIELDS}
        super().__init__(*args, **kwargs)
        if not actor.has_perm(ADMINISTER):
            for name in account_changes.RIGHTS:
                del self.fields[name]
            return
        languages: Any = self.fields["moderated_languages"]
        tags = {language.code for language in LANGUAGES} | {*used_languages(), *person.moderated_languages}
        languages.choices = sorted(((tag, name_of(tag)) for tag in tags), key=itemgetter(1))

    @property
    def changes(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.changed_data if name != "reason"}


@require_http_methods(["GET", "HEAD", "POST"])
def change_view(request: Any, person_id: UUID, person_admin: ReadOnlyAdmin) -> HttpResponse:
    """Show the form, or store what was changed in it. Changed rights need a recent proof of who is there."""
    person = User.objects.filter(pk=person_id).first()
    if person is None:
        raise Http404
    require_higher_rank(request.user, person)
    form = AccountForm(request.POST or None, person=person, actor=request.user)
    back = reverse("admin:accounts_user_change", args=[person_id])
    if request.method == "POST" and form.is_valid():
        if not form.changes.keys().isdisjoint(account_changes.RIGHTS) and not is_recently_proved(request):
            return redirect_to_proof(request)
        if _store(request, person, form, person_admin):
            return redirect(back)
    return person_admin.form_page(
        request,
        form,
        title=gettext("Change the account of %(name)s") % {"name": person},
        submit=gettext("Save the changes"),
        back_url=back,
        back_words=gettext("Back to the person"),
    )


def _store(request: Any, person: User, form: AccountForm, person_admin: ReadOnlyAdmin) -> bool:
    """Return False after adding the refusal of the service to the form."""
    reason = form.cleaned_data["reason"]
    try:
        with timeouts_as_busy():
            changed = account_changes.change_account(person, actor=request.user, reason=reason, **form.changes)
    except DomainError as error:
        add_domain_error(form, error)
        return False
    person_admin.tell_changes(request, [form.fields[name].label for name in changed])
    return True
