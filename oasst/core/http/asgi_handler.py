"""An ASGI handler that runs a whole request in one thread, as under WSGI.

Django's own runs the middleware chain on the event loop and moves each sync part to a thread and back: fifteen switches
per request, which cost more than the views. Only streaming and deferred responses continue on the event loop, until the
client disconnects.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from channels.db import database_sync_to_async
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import response_for_exception
from django.db import close_old_connections
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

THREADS = 200
"""Most of them wait for a database connection from the pool. Further requests queue."""


class DeferredResponse(HttpResponse):
    """A deferred response: `produce` is awaited without holding a thread, and canceled if the client disconnects.

    Middleware sees this empty response with status 200. Its headers and cookies are copied to the final response,
    unless that has its own. Only our handler supports it.
    """

    _BODY_HEADERS = frozenset({"Content-Type", "Content-Length", "Content-Encoding", "ETag"})

    def __init__(self, request: HttpRequest, produce: Callable[[], Coroutine[Any, Any, HttpResponseBase]]) -> None:
        super().__init__()
        self._request, self._produce = request, produce
        self.status_callbacks: list[Callable[[int], None]] = []
        """Callbacks for the final status; 499 if the client disconnected."""

    async def final_response(self) -> HttpResponseBase:
        status = 500
        try:
            try:
                response = await self._produce()
            except Exception as error:
                convert = database_sync_to_async(response_for_exception, thread_sensitive=False)
                response = await convert(self._request, error)
            status = response.status_code
        except asyncio.CancelledError:
            status = 499
            raise
        finally:
            for callback in self.status_callbacks:
                callback(status)
        for name, value in self.items():
            if name not in self._BODY_HEADERS:
                response.headers.setdefault(name, value)
        for name, cookie in self.cookies.items():
            response.cookies.setdefault(name, cookie)
        response._resource_closers += self._resource_closers  # type: ignore[attr-defined]
        response._handler_class = self._handler_class  # type: ignore[attr-defined]
        return response


class SingleThreadASGIHandler(ASGIHandler):
    """Run views (async ones too) and middleware in one thread, and streams on the event loop."""

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
        if response.streaming or isinstance(response, DeferredResponse):
            async with ThreadSensitiveContext():
                await self._stream(response, receive, send)
        else:
            await self.send_response(response, send)

    def _respond(self, scope: Any, body: Any) -> Any:
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=type(self), scope=scope)
        try:
            request, error_response = self.create_request(scope, body)
            response: Any = error_response if request is None else self.get_response(request)
            if request is None:  # so no middleware has set these headers
                response["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
                response["Cache-Control"] = "no-store"
            response._handler_class = type(self)
        finally:
            # Streams use their own connections later.
            close_old_connections()
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if not (response.streaming or isinstance(response, DeferredResponse)):
            response.close()
        body.close()
        return response

    async def _stream(self, response: HttpResponseBase, receive: Any, send: Any) -> None:
        """Await and send the response until it ends or the client disconnects."""
        disconnect = asyncio.ensure_future(receive())
        try:
            if isinstance(response, DeferredResponse):
                final = await _run_until(disconnect, response.final_response())
                if final is None:
                    return
                response = final
            await _run_until(disconnect, self.send_response(response, send))
        finally:
            disconnect.cancel()
            await sync_to_async(response.close)()


async def _run_until(disconnect: "asyncio.Future[Any]", work: Awaitable[Any]) -> Any:
    """Return the result of `work`, or cancel it and return None if the client disconnects first."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task, disconnect), return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return None if task.cancelled() else task.result()
