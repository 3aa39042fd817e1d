from django.urls import path

from leaderboard import views

urlpatterns = [
    path("leaderboard/", views.leaderboard, name="leaderboard"),
    path("me/points/", views.points, name="points"),
    path("statistics/", views.statistics_page, name="statistics"),
    path("statistics/<slug:name>.csv", views.statistics_csv, name="statistics_csv"),
]
