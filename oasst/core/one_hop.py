"""Django's ASGI handler with one change of threads for a request instead of fifteen.

Django runs its chain of middleware on the event loop when it speaks ASGI, and sends each part that is not async to a
thread and back; with ours that was more work than the views. Here the whole of a request, from the first middleware to
the last, runs in one thread of a pool, as it does under WSGI. Only answers that come in pieces go on on the event loop.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.db import close_old_connections
from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

THREADS = 200
"""Most of them wait, for a connection of the pool or in a view for the answer of a model. More requests queue."""


class OneHopHandler(ASGIHandler):
    """Views and middleware as under WSGI, async views included; streams as under ASGI."""

    def __init__(self) -> None:
        BaseHandler.__init__(self)
        self.load_middleware(is_async=False)
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="request")
        self._respond_in_thread = sync_to_async(self._respond, thread_sensitive=False, executor=pool)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(f"this handles HTTP, not {scope['type']}")
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        response = await self._respond_in_thread(scope, body)
        if response.streaming:
            await self._stream(response, receive, send)
        else:
            await self.send_response(response, send)

    def _respond(self, scope: Any, body: Any) -> Any:
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=type(self), scope=scope)
        try:
            request, refused = self.create_request(scope, body)
            response: Any = refused if request is None else self.get_response(request)
            response._handler_class = type(self)
        finally:
            # This thread is done with it. What a stream reads later, it reads on connections of its own.
            close_old_connections()
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if not response.streaming:
            response.close()
        body.close()
        return response

    async def _stream(self, response: HttpResponseBase, receive: Any, send: Any) -> None:
        """Send it piece by piece until its end, or until nobody listens any more."""
        async with ThreadSensitiveContext():
            sending = asyncio.ensure_future(self.send_response(response, send))
            leaving = asyncio.ensure_future(receive())
            try:
                await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                both = (sending, leaving)
                for one in both:
                    one.cancel()
                await asyncio.gather(*both, return_exceptions=True)
                await sync_to_async(response.close)()
            if not sending.cancelled():
                sending.result()
