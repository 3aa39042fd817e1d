"""What the start page does: undo one of one's own decisions, and decide about a proposed ban of an administrator."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from oasst.accounts import second_person
from oasst.accounts.authentication.proof import is_recently_proved
from oasst.accounts.authentication.reauthentication import redirect_to_proof
from oasst.accounts.groups import ADMINISTER
from oasst.core.errors import DomainError, NotAllowed
from oasst.core.locks import timeouts_as_busy
from oasst.site.desk import undoing
from oasst.site.models import DeskDecision
from trees.moderation import bans


@require_POST
def undo_view(request: Any, decision_id: int) -> HttpResponse:
    """Undo a decision of this moderator and go back to the start page, which says so, or why not."""
    decision = DeskDecision.objects.filter(pk=decision_id).first()
    if decision is None:
        raise Http404
    try:
        with timeouts_as_busy():
            undoing.undo_decision(decision, actor=request.user, reason=_("Taken back from the start page."))
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("It is undone."))
    return redirect("admin:index")


@require_POST
def ban_proposal_view(request: Any, ban_proposal_id: int) -> HttpResponse:
    """Confirm or refuse the proposed ban of an administrator, or its proposed end, or withdraw it; back to the start
    page.
    """
    if not request.user.has_perm(ADMINISTER):
        raise NotAllowed(_("This is for administrators."), code="administrators_only")
    if not is_recently_proved(request):
        return redirect_to_proof(request, reverse("admin:index"))
    try:
        with timeouts_as_busy():
            messages.success(request, _decide(ban_proposal_id, request))
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("admin:index")


def _decide(proposal_id: int, request: Any) -> str:
    if "withdraw" in request.POST:
        bans.withdraw_one_proposal(proposal_id, actor=request.user)
        return _("Your proposal is withdrawn.")
    if "refuse" in request.POST:
        bans.refuse_one_proposal(proposal_id, actor=request.user, reason=request.POST.get("reason", ""))
        return str(second_person.REFUSED)
    proposal = bans.confirm_proposal(proposal_id, actor=request.user)
    words = _("The suspension of %(name)s is over.") if proposal.lifts else _("%(name)s is suspended.")
    return words % {"name": proposal.user}
