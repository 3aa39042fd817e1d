from django.urls import path

from oasst.site.notices.consumers import BellConsumer

websocket_urlpatterns = [path("ws/bell/", BellConsumer.as_asgi())]
