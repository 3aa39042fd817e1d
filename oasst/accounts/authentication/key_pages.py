"""Pages whose address has a key: a link that signs in, or that stops mails."""

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from oasst.core.errors import Gone
from oasst.core.http.requests import client_address
from oasst.core.ratelimit import WRONG_LINKS_FROM_ADDRESS, count_use

View = Callable[[HttpRequest], HttpResponse]


def key_page(over: str) -> Callable[[View], View]:
    """Return a decorator for the view of such a page: GET shows a button, POST acts, Gone shows the template `over`
    with the `reason`. Wrong keys are counted for each address.
    """

    def decorate(view: View) -> View:
        @never_cache
        @require_http_methods(["GET", "HEAD", "POST"])
        @wraps(view)
        def page(request: HttpRequest) -> HttpResponse:
            try:
                response = view(request)
            except Gone as error:
                count_use(WRONG_LINKS_FROM_ADDRESS, client_address(request))
                response = render(request, over, {"reason": error.message}, status=410)
            # The URL contains the key. Not "no-referrer", because forms without an origin are refused.
            response["Referrer-Policy"] = "strict-origin"
            return response

        return page

    return decorate
