"""The URLs with Google, Discord and GitHub as providers."""

from django.urls import include, path

from oasst.accounts.authentication.providers import login_paths
from oasst.urls import handler400, handler403, handler404, handler500
from oasst.urls import urlpatterns as ours

PROVIDERS = ("google", "discord", "github")

urlpatterns = [
    *login_paths(PROVIDERS),
    *[path("accounts/", include(f"allauth.socialaccount.providers.{name}.urls")) for name in PROVIDERS],
    *ours,
]
__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]
