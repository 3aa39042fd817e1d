"""The only module that uses `ContinuousBatchingManager` of transformers 5.23.0.

It relies on internals of the library: logits processors, thread, states of the scheduler. Run
tests/inference/engine/test_batching.py, which tests what we rely on, before pinning another version.
"""

import logging
import queue
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from transformers import GenerationConfig, LogitsProcessorList
from transformers.generation.configuration_utils import ContinuousBatchingConfig
from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessorList
from transformers.generation.continuous_batching.continuous_api import ContinuousBatchingManager
from transformers.generation.continuous_batching.requests import GenerationOutput, RequestStatus

from inference.engine.loading import LoadedModel
from inference.engine.processor import PerRequestProcessor
from inference.engine.sampling import Sampling

# The library's logger writes to standard error, bypassing the logging of the site.
_library = logging.getLogger("ContinuousBatchingLogger")
_library.handlers.clear()
_library.setLevel(logging.WARNING)

PAGE = 32
"""Tokens. The unit of the cache, also for sharing between turns of one chat."""


@dataclass(frozen=True)
class Sizes:
    cache_tokens: int = 8192
    """Tokens in the cache, of all requests together. When it is full, the youngest requests wait."""
    batch_tokens: int = 256
    """Tokens per step. A long prompt takes several steps, so that other requests continue."""
    slots: int = 16

    @property
    def largest_request(self) -> int:
        """The maximum of prompt and answer in tokens. Without the margin the scheduler may get stuck."""
        return self.cache_tokens - 2 * PAGE


@dataclass(frozen=True)
class Step:
    """All tokens of one request so far."""

    request_id: str
    token_ids: list[int]
    ended: bool = False
    failed: str = ""


class _OneAfterAnother:
    """A lock that threads get in the order in which they ask for it, so that none of several models starves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_held = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if not self._is_held:
                self._is_held = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()  # until the one before passes it on

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_held = False


_computing = _OneAfterAnother()
"""Models of one process take turns, step by step, so that they use as many cores as one model does."""


class _Manager(ContinuousBatchingManager):
    """Runs the model in a daemon thread, which does not keep the process from ending."""

    def _generation_step(self) -> None:
        with _computing:
            super()._generation_step()

    def start(self) -> None:
        if self.is_running():
            return
        self.background_thread_status.clear()
        thread = threading.Thread(target=self._run_generation_loop, name="model", daemon=True)
        self._generation_thread = thread
        thread.start()


class Batch:
    """A model loop, which dies with its first error. Only one may run, because the library keeps state on the model."""

    def __init__(self, loaded: LoadedModel, sizes: Sizes) -> None:
        self.processor = PerRequestProcessor()
        self._end_ids = list(loaded.end_ids)
        self._manager = _Manager(
            loaded.model,
            GenerationConfig(do_sample=False, eos_token_id=self._end_ids or -1, pad_token_id=0),
            ContinuousBatchingConfig(
                page_size=PAGE,
                num_blocks=sizes.cache_tokens // PAGE,
                max_batch_tokens=sizes.batch_tokens,
                max_requests_per_batch=sizes.slots,
                # Our processor keeps Python objects, so graphs and asynchronous batches do not work.
                use_cuda_graph=False,
                use_async_batching=False,
                auto_switch_to_flash=False,
            ),
        )
        processors = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([self.processor]))
        processors.tensors_required = 1
        self._manager.logit_processor = processors
        self._manager.start()

    @property
    def alive(self) -> bool:
        status = self._manager.background_thread_status
        return self._manager.is_running() and status.can_accept_new_requests() is None

    def add(self, request_id: str, prompt_ids: list[int], max_tokens: int, sampling: Sampling) -> None:
        # Greedy requests without penalty or bias skip the processor.
        plain = sampling.greedy and sampling.repetition_penalty == 1 and not sampling.logit_bias
        settings: dict[str, Any] = {} if plain else {"sampling": sampling}
        self._manager.add_request(
            prompt_ids,
            request_id=request_id,
            max_new_tokens=max_tokens,
            streaming=True,
            eos_token_id=self._end_ids or None,
            **settings,
        )

    def cancel(self, request_id: str) -> None:
        self._manager.cancel_request(request_id)

    def step(self, seconds: float) -> Step | None:
        """Return the next step of any request, or None after `seconds` without one."""
        try:
            output: GenerationOutput = self._manager.output_router.output_queue.get(timeout=seconds)
        except queue.Empty:
            return None
        failed = ""
        if output.status == RequestStatus.FAILED:
            failed = output.error or "unknown error"
        return Step(output.request_id, output.generated_tokens, output.is_finished(), failed)

    def stop(self, seconds: float) -> None:
        """Stop after the current step."""
        if self._manager.is_running():
            self._manager.stop(hard_stop=True, timeout=seconds)
