"""The page between a text of somebody and a foreign site that it links to."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from oasst.core.errors import Invalid
from oasst.core.markdown import foreign_links


@require_safe
def leaving(request: HttpRequest) -> HttpResponse:
    """Show where a link leads. Following it takes a click, so this is no open redirect."""
    url = request.GET.get("to", "")
    host = foreign_links.host_of(url)
    if host is None:
        raise Invalid(_("This is not the address of a web site."), code="bad_link", field="to")
    context = {"url": url, "host": host, "has_login": foreign_links.has_login(url)}
    response = render(request, "pages/leaving.html", context)
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response
