from django.urls import path

from trees import snapshot_views, views

urlpatterns = [
    path("data/", snapshot_views.snapshots, name="snapshots"),
    path("data/<str:name>/", snapshot_views.snapshot, name="snapshot"),
    path("data/<str:name>/<path:path>", snapshot_views.snapshot_file, name="snapshot_file"),
    path("me/contributions/", views.contributions, name="contributions"),
    path("messages/<uuid:message_id>/", views.tree, name="tree"),
    path("messages/<uuid:message_id>/react/", views.react, name="message_react"),
    path("messages/<uuid:message_id>/report/", views.report, name="message_report"),
    path("messages/<uuid:message_id>/suggest/", views.suggest, name="message_suggest"),
    path("messages/<uuid:own_message_id>/personal-data/", views.own_personal_data, name="message_personal_data"),
    path("messages/<uuid:own_message_id>/withdraw/", views.withdraw, name="message_withdraw"),
    path("messages/<uuid:own_message_id>/withdraw/undo/", views.withdraw_undo, name="message_withdraw_undo"),
]
