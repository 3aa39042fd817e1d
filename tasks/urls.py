from django.urls import path

from tasks import views

urlpatterns = [
    path("tasks/next/", views.next_task, name="task_next"),
    path("tasks/nothing/", views.nothing, name="task_nothing"),
    path("tasks/preview/", views.preview, name="task_preview"),
    path("tasks/<uuid:task_id>/similar/", views.similar, name="task_similar"),
    path("tasks/<uuid:task_id>/", views.task, name="task"),
    path("tasks/<uuid:task_id>/skip/", views.skip, name="task_skip"),
    path("tasks/<uuid:task_id>/draft/", views.draft, name="task_draft"),
    path("tasks/<uuid:task_id>/lease/", views.lease, name="task_lease"),
]
