from django.urls import path

from oasst.site.notices import views

urlpatterns = [
    path("me/notices/", views.notices, name="notices"),
    path("me/notices/read/", views.read, name="notices_read"),
    path("me/notices/settings/", views.choose, name="notices_settings"),
    path("notices/stop/", views.stop, name="notices_stop"),
]
