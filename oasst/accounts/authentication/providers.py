"""Leaving for Google, Discord or GitHub, and nothing more than that: what the page policy has to allow for it."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.providers.oauth2.views import OAuth2LoginView
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

from oasst.core.http.middleware import ContentSecurity


def login_paths(names: Iterable[str]) -> list[URLPattern]:
    """The pages whose form leaves for one of these services. They stand before those of django-allauth."""
    return [
        path(f"accounts/{name}/login/", leave_for, kwargs={"provider": name}, name=f"{name}_login") for name in names
    ]


def leave_for(request: HttpRequest, provider: str) -> HttpResponseBase:
    """The library's page, with the one origin that its form is redirected to.

    Browsers hold the redirect after a form against `form-action` of the page with the form, so without this nobody
    leaves. No other page of ours has such a form, and this one may leave for no other service.
    """
    adapter: Any = get_adapter(request).get_provider(request, provider).oauth2_adapter_class
    response: HttpResponseBase = OAuth2LoginView.adapter_view(adapter)(request)
    response.headers["Content-Security-Policy"] = ContentSecurity.policy_with_forms_to(_origin(adapter.authorize_url))
    return response


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
