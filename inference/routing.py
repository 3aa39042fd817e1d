from django.urls import path

from inference.consumers import AnswerConsumer

websocket_urlpatterns = [path("ws/chat/<uuid:message_id>/", AnswerConsumer.as_asgi())]
