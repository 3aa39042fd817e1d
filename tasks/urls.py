from django.urls import path

from tasks import practice_views, views

urlpatterns = [
    path("me/reviews/<uuid:review_id>/", views.change_review, name="review_change"),
    path("practice/", practice_views.start, name="practice"),
    path("practice/<str:name>/", practice_views.practice_item, name="practice_item"),
    path("practice/order/<str:name>/", practice_views.practice_ranking, name="practice_ranking"),
    path("practice/accepted/<str:name>/", practice_views.practice_verdict, name="practice_verdict"),
    path("tasks/next/", views.next_task, name="task_next"),
    path("tasks/nothing/", views.nothing, name="task_nothing"),
    path("tasks/preview/", views.preview, name="task_preview"),
    path("tasks/<uuid:task_id>/similar/", views.similar, name="task_similar"),
    path("tasks/<uuid:task_id>/", views.task, name="task"),
    path("tasks/<uuid:task_id>/skip/", views.skip, name="task_skip"),
    path("tasks/<uuid:task_id>/give-back/", views.give_back, name="task_give_back"),
    path("tasks/<uuid:task_id>/undo/", views.undo, name="task_undo"),
    path("tasks/<uuid:task_id>/draft/", views.draft, name="task_draft"),
    path("tasks/<uuid:task_id>/lease/", views.lease, name="task_lease"),
]
