"""The URLs with DEBUG, which adds the debug sign-in."""

from django.urls import path

from oasst.accounts import views
from oasst.urls import handler400, handler403, handler404, handler500, urlpatterns

urlpatterns = [*urlpatterns, path("accounts/debug/", views.debug_login, name="debug_login")]
__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]
