"""URLs of the whole site."""

from django.contrib import admin
from django.urls import include, path

from oasst.core.http import api_paths
from oasst.site import about, announcements, api_docs, guidelines, leaving, onboarding, pages, sitemaps
from oasst.site.own_data import views as own_data

urlpatterns = [
    # First, because they get the most requests and Django tries the patterns in order.
    path(api_paths.DATA, include("oasst.site.api_urls")),
    path(api_paths.CHAT, include("inference.api_urls")),
    path(api_paths.OPENAI, include("inference.api.openai_urls")),
    path("", pages.landing, name="landing"),
    path("dashboard/", pages.dashboard, name="dashboard"),
    path("dashboard/work/", pages.dashboard_work, name="dashboard_work"),
    path("welcome/", onboarding.onboarding, name="onboarding"),
    path("guidelines/", include(guidelines.urlpatterns)),
    path("me/data/", own_data.own_data, name="own_data"),
    path("me/data/file/", own_data.own_data_file, name="own_data_file"),
    path("about/", about.about, name="about"),
    path("team/", about.team, name="team"),
    path("fault/", about.report_fault, name="report_fault"),
    path("ended/", about.project_ended, name="project_ended"),
    path("announcement/dismiss/", announcements.dismiss, name="announcement_dismiss"),
    path("", include(sitemaps.urlpatterns)),
    path("leaving/", leaving.leaving, name="leaving"),
    path("", include("oasst.accounts.urls")),
    path("", include("tasks.urls")),
    path("", include("trees.urls")),
    path("chat/", include("inference.urls")),
    path("", include("leaderboard.urls")),
    path("", include("oasst.site.notices.urls")),
    path("docs/", api_docs.docs, name="api-docs"),
    path("docs/chat/", api_docs.chat_docs, name="api-docs-chat"),
    path("docs/openai/", api_docs.openai_docs, name="api-docs-openai"),
    path("admin/", admin.site.urls),
    path("styleguide/", include("oasst.site.styleguide")),
    path("", include("oasst.site.health")),
]

handler400 = "oasst.core.http.error_views.bad_request"
handler403 = "oasst.core.http.error_views.permission_denied"
handler404 = "oasst.core.http.error_views.page_not_found"
handler500 = "oasst.core.http.error_views.server_error"
