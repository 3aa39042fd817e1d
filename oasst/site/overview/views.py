"""Undo one of one's own decisions from the start page."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from oasst.core.errors import DomainError
from oasst.core.locks import timeouts_as_busy
from oasst.site.desk import undoing
from oasst.site.models import DeskDecision


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
