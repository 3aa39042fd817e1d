"""An unfinished answer as HTML for the pages that show it: a few patches a second.

One thread per process renders all answers, so they never block the event loop. An answer is rendered once for all pages
of this process; each page keeps only what was sent to it.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from inference.turns.events import Token
from oasst.core.markdown.streaming import MarkdownStream, Patch, count_unchanged

MIN_INTERVAL_SECONDS = 0.2
MAX_CPU_SHARE = 0.1
"""Share of one processor for an answer. Slow rendering happens less often."""

_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")

Send = Callable[[dict[str, Any]], Awaitable[None]]


class _Rendering:
    """One answer, rendered for all pages of this process."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self.code = ""
        """Plain text to append to the last block."""
        self.final = self.position = 0
        self.pages: set[AnswerPage] = set()
        self._stream = MarkdownStream()
        self._pieces: list[str] = []
        self._received = 0
        self._wake, self._over = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._run())
        self._finishing: asyncio.Task[None] | None = None

    def add(self, token: Token) -> None:
        """Take a token that a page received. Raise the error of earlier rendering."""
        if self._task.done() and self._finishing is None:
            self._task.result()
        if token.id <= self._received:
            return
        self._pieces.append(token.text[self._received - token.id :])
        self._received = token.id
        self._wake.set()

    async def finish(self, text: str) -> None:
        """Render the complete text, once for all pages."""
        if self._finishing is None:
            self._finishing = asyncio.create_task(self._finish(text))
        await asyncio.shield(self._finishing)  # a page that leaves must not cancel it for the others

    async def close(self) -> None:
        tasks = [self._task, *([self._finishing] if self._finishing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _finish(self, text: str) -> None:
        self._over.set()
        self._wake.set()
        await self._task
        patch, _ = await _in_thread(self._stream.finish, text)
        self._apply(patch, max(self._received, len(text)))

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if self._over.is_set():
                return
            self._wake.clear()
            pieces, self._pieces = self._pieces, []
            position = self._received
            patch, seconds = await _in_thread(self._stream.add, "".join(pieces))
            self._apply(patch, position)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(MIN_INTERVAL_SECONDS, seconds / MAX_CPU_SHARE)):
                    await self._over.wait()

    def _apply(self, patch: Patch | None, position: int) -> None:
        if patch is None:
            return
        if patch.code:
            self.code += patch.code
        else:
            self.blocks = self.blocks[: patch.start] + patch.html
            self.code = ""
        self.final, self.position = patch.final, position
        for page in self.pages:
            page.wake.set()


_renderings: dict[UUID, _Rendering] = {}
"""By answer, while a page shows it."""


class AnswerPage:
    """Sends the patches of one answer to one page, in `async with`. New text collects while `send` waits."""

    def __init__(self, answer_id: UUID, send: Send, after: int) -> None:
        """`after` is the position that the page shows: nothing is sent before the answer has more."""
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
        self._task = asyncio.create_task(self._run())
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
        """Take the next token. Raise the error of earlier patches."""
        if self._task.done():
            self._task.result()
        self._rendering.add(token)

    async def finish(self, text: str) -> None:
        """Send the last patch, after which the page shows exactly this text."""
        await self._rendering.finish(text)
        self._over = True
        self.wake.set()
        await self._task

    async def _run(self) -> None:
        while not self._over:
            await self.wake.wait()
            self.wake.clear()
            if self._over or self._rendering.position > self._after:
                for patch in self._next_patches():
                    await self._send_patch(patch, self._position)

    def _next_patches(self) -> list[Patch]:
        """Return the patches that bring the page up to date, and count them as sent."""
        rendering, blocks, code = self._rendering, self._rendering.blocks, self._rendering.code
        same = count_unchanged(self._blocks, blocks)
        if not code.startswith(self._code):
            same = min(same, len(self._blocks) - 1)  # the page has other text in its last block
        patches = []
        if same < len(blocks) or same < len(self._blocks):
            patches.append(Patch(same, blocks[same:], rendering.final))
            self._code = ""
        if more := code[len(self._code) :]:
            patches.append(Patch(len(blocks), [], rendering.final, more))
        self._blocks, self._code, self._position = blocks, code, rendering.position
        return patches

    async def _send_patch(self, patch: Patch, position: int) -> None:
        frame = {"type": "blocks", "id": position, "from": patch.start, "html": patch.html, "final": patch.final}
        await self._send({**frame, "code": patch.code} if patch.code else frame)


async def _in_thread(render: Callable[[str], Patch | None], text: str) -> tuple[Patch | None, float]:
    """Return the result of `render` and the seconds of processor time that it took."""

    def timed() -> tuple[Patch | None, float]:
        started = time.thread_time()
        return render(text), time.thread_time() - started

    return await asyncio.get_running_loop().run_in_executor(_thread, timed)
