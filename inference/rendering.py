"""An answer that comes, as HTML for the page that shows it: a few patches a second, made in a thread.

One thread of the process renders for all pages, so that answers cannot keep the event loop or other threads waiting.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from inference.events import Token
from oasst.core.markdown_stream import MarkdownStream, Patch

SECONDS_BETWEEN = 0.2
SHARE = 0.1
"""Of one processor that a page may cost: what takes long to render is rendered less often."""

_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")

Send = Callable[[dict[str, Any]], Awaitable[None]]


class AnswerPage:
    """What one page shows of an answer that comes. Use it with `async with`.

    `send` may take its time: what came meanwhile goes into the next patch.
    """

    def __init__(self, send: Send, after: int) -> None:
        """`after` is the place that the page is at: nothing is sent before the answer goes on behind it."""
        self._send, self._after = send, after
        self._stream = MarkdownStream()
        self._pieces: list[str] = []
        self._place = 0
        self._wake, self._over = asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> "AnswerPage":
        self._task = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def add(self, token: Token) -> None:
        """The answer goes on. Raises what went wrong with the patches before."""
        if self._task.done():
            self._task.result()
        self._pieces.append(token.text)
        self._place = token.id
        if self._place > self._after:
            self._wake.set()

    async def finish(self, text: str) -> None:
        """The answer is this text: the last patch makes the page show exactly that."""
        self._over.set()
        self._wake.set()
        await self._task
        patch, _ = await _in_thread(self._stream.finish, text)
        await self._tell(patch, max(self._place, len(text)))

    async def _go_on(self) -> None:
        while True:
            await self._wake.wait()
            if self._over.is_set():
                return
            self._wake.clear()
            pieces, self._pieces = self._pieces, []
            place = self._place
            patch, seconds = await _in_thread(self._stream.add, "".join(pieces))
            await self._tell(patch, place)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(SECONDS_BETWEEN, seconds / SHARE)):
                    await self._over.wait()

    async def _tell(self, patch: Patch | None, place: int) -> None:
        if patch is not None:
            told = {"type": "blocks", "id": place, "from": patch.start, "html": patch.html, "final": patch.final}
            await self._send({**told, "code": patch.code} if patch.code else told)


async def _in_thread(render: Callable[[str], Patch | None], text: str) -> tuple[Patch | None, float]:
    """What `render` returns, and the seconds of processor time that it took."""

    def timed() -> tuple[Patch | None, float]:
        started = time.thread_time()
        return render(text), time.thread_time() - started

    return await asyncio.get_running_loop().run_in_executor(_thread, timed)
