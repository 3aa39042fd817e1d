"""The ASGI application: HTTP through Django, WebSockets through Channels (no socket routes yet)."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oasst.settings")

application = ProtocolTypeRouter({"http": get_asgi_application()})
