"""Paths below /api/v1/."""

from django.urls import path

from leaderboard.api import views

urlpatterns = [
    path("leaderboards/update", views.LeaderboardUpdate.as_view()),
    path("leaderboards/update/<str:time_frame>", views.LeaderboardUpdate.as_view()),
    path("leaderboards/<str:time_frame>", views.Leaderboard.as_view()),
    path("trollboards/<str:time_frame>", views.Trollboard.as_view()),
    path("users/<uuid:user_id>/stats", views.UserStats.as_view()),
    path("users/<uuid:user_id>/stats/<str:time_frame>", views.UserStatsIn.as_view()),
    path("users/<uuid:user_id>/stats/<str:time_frame>/window", views.UserWindow.as_view()),
    path("stats/cached", views.CachedStats.as_view()),
    path("stats/cached/update", views.CachedStatsUpdate.as_view()),
    path("stats/cached/<str:name>", views.CachedStat.as_view()),
]
