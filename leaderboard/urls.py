from django.urls import path

from leaderboard import views

urlpatterns = [
    path("leaderboard/", views.leaderboard, name="leaderboard"),
    path("me/points/", views.points, name="points"),
    path("me/statistics/", views.own_figures, name="own_statistics"),
    path("statistics/", views.statistics_page, name="statistics"),
    path("statistics/<slug:name>.csv", views.statistics_csv, name="statistics_csv"),
]
