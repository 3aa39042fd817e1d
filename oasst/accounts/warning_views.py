"""The page that shows a warning until the person confirms that they read it."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from oasst.accounts import warnings
from oasst.accounts.documents import contact_address
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import NotFound
from oasst.core.http.requests import row_id, safe_next


@never_cache
@login_required
@require_safe
def warning(request: SignedInRequest) -> HttpResponse:
    """Show the oldest warning that is not confirmed; without one lead to the page that the person came from."""
    row = warnings.unconfirmed_warning(request.user)
    next_page = safe_next(request, settings.LOGIN_REDIRECT_URL)
    if row is None:
        return redirect(next_page)
    context = {
        "warning": row,
        "entry_id": warnings.find_entry_id(row),
        "next": next_page,
        "contact": contact_address(),
    }
    return render(request, "accounts/warning.html", context)


@login_required
@require_POST
def confirm(request: SignedInRequest) -> HttpResponse:
    warning_id = row_id(request.POST.get("warning", ""))
    if warning_id is None:
        raise NotFound(gettext("There is no such warning."), code="warning_not_found")
    warnings.confirm(request.user, warning_id)
    return redirect(safe_next(request, settings.LOGIN_REDIRECT_URL))
