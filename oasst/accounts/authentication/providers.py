"""The pages that redirect to Google, Discord or GitHub, with a Content-Security-Policy that allows exactly that."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.providers.oauth2.views import OAuth2LoginView
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

from oasst.core.http.middleware import ContentSecurityPolicy


def login_paths(names: Iterable[str]) -> list[URLPattern]:
    """Return URL patterns for these providers, which must precede those of django-allauth."""
    return [
        path(f"accounts/{name}/login/", redirect_to_provider, kwargs={"provider": name}, name=f"{name}_login")
        for name in names
    ]


def redirect_to_provider(request: HttpRequest, provider: str) -> HttpResponseBase:
    """Return allauth's page, with a policy that allows its form to redirect to the provider.

    Browsers apply `form-action` also to redirects after a form. No other page needs this.
    """
    adapter: Any = get_adapter(request).get_provider(request, provider).oauth2_adapter_class
    response: HttpResponseBase = OAuth2LoginView.adapter_view(adapter)(request)
    response.headers["Content-Security-Policy"] = ContentSecurityPolicy.policy_with_forms_to(
        _origin(adapter.authorize_url)
    )
    return response


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
