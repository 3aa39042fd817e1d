"""Pages of the whole site. The wire protocol lives under /api/v1/ (oasst.api_urls)."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("oasst.health")),
]
