"""Pages of the whole site. The wire protocol lives under /api/v1/ (oasst.api_urls)."""

from django.contrib import admin
from django.urls import include, path

from oasst import api_docs, pages
from oasst.core import wires

urlpatterns = [
    # First, since their callers are the most: each pattern before them is tried on each request.
    path(wires.DATA, include("oasst.api_urls")),
    path(wires.CHAT, include("inference.api_urls")),
    path(wires.OPENAI, include("inference.api.openai_urls")),
    path("", pages.landing, name="landing"),
    path("dashboard/", pages.dashboard, name="dashboard"),
    path("", include("oasst.accounts.urls")),
    path("", include("tasks.urls")),
    path("", include("trees.urls")),
    path("chat/", include("inference.urls")),
    path("", include("leaderboard.urls")),
    path("docs/", api_docs.docs, name="api-docs"),
    path("docs/chat/", api_docs.chat_docs, name="api-docs-chat"),
    path("docs/openai/", api_docs.openai_docs, name="api-docs-openai"),
    path("admin/", admin.site.urls),
    path("styleguide/", include("oasst.styleguide")),
    path("", include("oasst.health")),
]

handler400 = "oasst.core.error_views.bad_request"
handler403 = "oasst.core.error_views.permission_denied"
handler404 = "oasst.core.error_views.page_not_found"
handler500 = "oasst.core.error_views.server_error"
