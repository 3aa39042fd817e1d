"""Pages of the whole site. The wire protocol lives under /api/v1/ (oasst.api_urls)."""

from django.urls import include, path

from oasst import pages

urlpatterns = [
    path("", pages.landing, name="landing"),
    path("dashboard/", pages.dashboard, name="dashboard"),
    path("", include("tasks.urls")),
    path("", include("trees.urls")),
    path("", include("oasst.health")),
]
