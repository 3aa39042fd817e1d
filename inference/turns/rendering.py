"""An answer that comes, as HTML for the pages that show it: a few patches a second, made in a thread.

One thread of the process renders for all pages, so that answers cannot keep the event loop or other threads waiting.
Each answer is rendered once, however many pages of this process show it: a page keeps only what it was sent.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from inference.turns.events import Token
from oasst.core.markdown.streaming import MarkdownStream, Patch, number_unchanged

SECONDS_BETWEEN = 0.2
SHARE = 0.1
"""Of one processor that an answer may cost: what takes long to render is rendered less often."""

_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")

Send = Callable[[dict[str, Any]], Awaitable[None]]


class _Rendering:
    """One answer that comes, rendered for all pages of this process."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self.code = ""
        """Plain text that goes on in the last block."""
        self.final = self.place = 0
        self.pages: set[AnswerPage] = set()
        self._stream = MarkdownStream()
        self._pieces: list[str] = []
        self._heard = 0
        self._wake, self._over = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._go_on())
        self._last: asyncio.Task[None] | None = None

    def add(self, token: Token) -> None:
        """The answer goes on, as one of the pages heard. Raises what went wrong with the patches before."""
        if self._task.done() and self._last is None:
            self._task.result()
        if token.id <= self._heard:
            return
        self._pieces.append(token.text[self._heard - token.id :])
        self._heard = token.id
        self._wake.set()

    async def finish(self, text: str) -> None:
        """The answer is this text. Done once: for the others who come, it is waited for."""
        if self._last is None:
            self._last = asyncio.create_task(self._finish(text))
        await asyncio.shield(self._last)  # a page that goes away ends it for none of the others

    async def close(self) -> None:
        tasks = [self._task, *([self._last] if self._last else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _finish(self, text: str) -> None:
        self._over.set()
        self._wake.set()
        await self._task
        patch, _ = await _in_thread(self._stream.finish, text)
        self._take(patch, max(self._heard, len(text)))

    async def _go_on(self) -> None:
        while True:
            await self._wake.wait()
            if self._over.is_set():
                return
            self._wake.clear()
            pieces, self._pieces = self._pieces, []
            place = self._heard
            patch, seconds = await _in_thread(self._stream.add, "".join(pieces))
            self._take(patch, place)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(SECONDS_BETWEEN, seconds / SHARE)):
                    await self._over.wait()

    def _take(self, patch: Patch | None, place: int) -> None:
        if patch is None:
            return
        if patch.code:
            self.code += patch.code
        else:
            self.blocks = self.blocks[: patch.start] + patch.html
            self.code = ""
        self.final, self.place = patch.final, place
        for page in self.pages:
            page.wake.set()


_renderings: dict[UUID, _Rendering] = {}
"""Those that a page shows. The last page ends it."""


class AnswerPage:
    """What one page shows of an answer that comes. Use it with `async with`.

    `send` may take its time: what came meanwhile goes into the next patch.
    """

    def __init__(self, answer_id: UUID, send: Send, after: int) -> None:
        """`after` is the place that the page is at: nothing is sent before the answer goes on behind it."""
        self._answer_id, self._send, self._after = answer_id, send, after
        self.wake = asyncio.Event()
        self._over = False
        self._blocks: list[str] = []
        self._code = ""

    async def __aenter__(self) -> "AnswerPage":
        self._rendering = _renderings.get(self._answer_id) or _Rendering()
        _renderings[self._answer_id] = self._rendering
        self._rendering.pages.add(self)
        self.wake.set()
        self._task = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._rendering.pages.discard(self)
        is_last = not self._rendering.pages
        if is_last:
            _renderings.pop(self._answer_id, None)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if is_last:
            await self._rendering.close()

    def add(self, token: Token) -> None:
        """The answer goes on. Raises what went wrong with the patches before."""
        if self._task.done():
            self._task.result()
        self._rendering.add(token)

    async def finish(self, text: str) -> None:
        """The answer is this text: the last patch makes the page show exactly that."""
        await self._rendering.finish(text)
        self._over = True
        self.wake.set()
        await self._task

    async def _go_on(self) -> None:
        while not self._over:
            await self.wake.wait()
            self.wake.clear()
            if self._over or self._rendering.place > self._after:
                for patch in self._news():
                    await self._tell(patch, self._told)

    def _news(self) -> list[Patch]:
        """What the page has to change to show what is rendered. It is taken for sent."""
        shown, blocks, code = self._rendering, self._rendering.blocks, self._rendering.code
        same = number_unchanged(self._blocks, blocks)
        if not code.startswith(self._code):
            same = min(same, len(self._blocks) - 1)  # the block stands there with text that went on otherwise
        patches = []
        if same < len(blocks) or same < len(self._blocks):
            patches.append(Patch(same, blocks[same:], shown.final))
            self._code = ""
        if more := code[len(self._code) :]:
            patches.append(Patch(len(blocks), [], shown.final, more))
        self._blocks, self._code, self._told = blocks, code, shown.place
        return patches

    async def _tell(self, patch: Patch, place: int) -> None:
        told = {"type": "blocks", "id": place, "from": patch.start, "html": patch.html, "final": patch.final}
        await self._send({**told, "code": patch.code} if patch.code else told)


async def _in_thread(render: Callable[[str], Patch | None], text: str) -> tuple[Patch | None, float]:
    """What `render` returns, and the seconds of processor time that it took."""

    def timed() -> tuple[Patch | None, float]:
        started = time.thread_time()
        return render(text), time.thread_time() - started

    return await asyncio.get_running_loop().run_in_executor(_thread, timed)
