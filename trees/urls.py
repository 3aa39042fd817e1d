from django.urls import path

from trees import decision_views, donation_views, explore_views, report_views, snapshot_views, views

urlpatterns = [
    path("chat/<uuid:chat_id>/give/", donation_views.give, name="chat_give"),
    path("explore/", explore_views.explore, name="explore"),
    path("data/", snapshot_views.snapshots, name="snapshots"),
    path("data/<str:name>/", snapshot_views.snapshot, name="snapshot"),
    path("data/<str:name>/<path:path>", snapshot_views.snapshot_file, name="snapshot_file"),
    path("me/contributions/", views.contributions, name="contributions"),
    path("me/decisions/<int:entry_id>/", decision_views.decision, name="decision"),
    path("me/decisions/<int:entry_id>/appeal/", decision_views.appeal, name="decision_appeal"),
    path("me/reports/", report_views.reports, name="reports"),
    path("messages/<uuid:message_id>/", views.tree, name="tree"),
    path("messages/<uuid:message_id>/text/", views.message_text, name="message_text"),
    path("messages/<uuid:message_id>/markdown/", views.message_markdown, name="message_markdown"),
    path("messages/<uuid:message_id>/label/", views.label, name="message_label"),
    path("messages/<uuid:message_id>/react/", views.react, name="message_react"),
    path("messages/<uuid:message_id>/report/", views.report, name="message_report"),
    path("messages/<uuid:message_id>/suggest/", views.suggest, name="message_suggest"),
    path("messages/<uuid:own_message_id>/personal-data/", views.own_personal_data, name="message_personal_data"),
    path("messages/<uuid:own_message_id>/withdraw/", views.withdraw, name="message_withdraw"),
    path("messages/<uuid:own_message_id>/withdraw/undo/", views.withdraw_undo, name="message_withdraw_undo"),
]
