from django.urls import path

from trees import views

urlpatterns = [
    path("me/contributions/", views.contributions, name="contributions"),
    path("messages/<uuid:message_id>/", views.tree, name="tree"),
]
