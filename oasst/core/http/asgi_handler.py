"""Django's ASGI handler with one change of threads for a request instead of fifteen.

Django runs its chain of middleware on the event loop when it speaks ASGI, and sends each part that is not async to a
thread and back; with ours that was more work than the views. Here the whole of a request, from the first middleware to
the last, runs in one thread of a pool, as it does under WSGI. Only answers that come in pieces, and those that wait for
something, go on on the event loop, until their caller leaves.
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
"""Most of them wait for a connection of the pool. More requests queue."""


class Later(HttpResponse):
    """What a view returns for an answer that it would have to wait for: `coming` is awaited without holding a thread,
    and cancelled when its caller leaves.

    Middleware sees this response instead, empty and with the status 200; its headers and cookies go to the one that
    comes, where that has none of its own. Only our handler knows it.
    """

    _OF_THE_BODY = frozenset({"Content-Type", "Content-Length", "Content-Encoding", "ETag"})

    def __init__(self, request: HttpRequest, coming: Callable[[], Coroutine[Any, Any, HttpResponseBase]]) -> None:
        super().__init__()
        self._request, self._coming = request, coming
        self.when_known: list[Callable[[int], None]] = []
        """Told the status at the end; 499 where the caller left before."""

    async def arrived(self) -> HttpResponseBase:
        status = 500
        try:
            answer = await self._answer()
            status = answer.status_code
        except asyncio.CancelledError:
            status = 499
            raise
        finally:
            for tell in self.when_known:
                tell(status)
        for name, value in self.items():
            if name not in self._OF_THE_BODY:
                answer.headers.setdefault(name, value)
        for name, cookie in self.cookies.items():
            answer.cookies.setdefault(name, cookie)
        answer._resource_closers += self._resource_closers  # type: ignore[attr-defined]
        answer._handler_class = self._handler_class  # type: ignore[attr-defined]
        return answer

    async def _answer(self) -> HttpResponseBase:
        try:
            return await self._coming()
        except Exception as error:
            return await database_sync_to_async(response_for_exception, thread_sensitive=False)(self._request, error)


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
        if response.streaming or isinstance(response, Later):
            async with ThreadSensitiveContext():
                await self._go_on(response, receive, send)
        else:
            await self.send_response(response, send)

    def _respond(self, scope: Any, body: Any) -> Any:
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=type(self), scope=scope)
        try:
            request, refused = self.create_request(scope, body)
            response: Any = refused if request is None else self.get_response(request)
            if request is None:  # no middleware saw it
                response["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
                response["Cache-Control"] = "no-store"
            response._handler_class = type(self)
        finally:
            # This thread is done with it. What a stream reads later, it reads on connections of its own.
            close_old_connections()
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if not (response.streaming or isinstance(response, Later)):
            response.close()
        body.close()
        return response

    async def _go_on(self, response: HttpResponseBase, receive: Any, send: Any) -> None:
        """Await it and send it, piece by piece, until its end or until nobody listens any more."""
        leaving = asyncio.ensure_future(receive())
        try:
            if isinstance(response, Later):
                arrived = await _unless(leaving, response.arrived())
                if arrived is None:
                    return
                response = arrived
            await _unless(leaving, self.send_response(response, send))
        finally:
            leaving.cancel()
            await sync_to_async(response.close)()


async def _unless(leaving: "asyncio.Future[Any]", work: Awaitable[Any]) -> Any:
    """The result of `work`; None when the caller left before, and the work was cancelled."""
    working = asyncio.ensure_future(work)
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    return None if working.cancelled() else working.result()
