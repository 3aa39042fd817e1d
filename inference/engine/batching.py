"""The one file that touches `ContinuousBatchingManager` of transformers 5.23.0.

Parts of what it uses are internals of the library: its logits processors, its thread, its scheduler's states. What we
rely on is written down as tests in tests/inference/engine/test_batching.py; run them before pinning another version.
"""

import logging
import queue
import threading
from dataclasses import dataclass
from typing import Any

from transformers import GenerationConfig, LogitsProcessorList
from transformers.generation.configuration_utils import ContinuousBatchingConfig
from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessorList
from transformers.generation.continuous_batching.continuous_api import ContinuousBatchingManager
from transformers.generation.continuous_batching.requests import GenerationOutput, RequestStatus

from inference.engine.loading import Loaded
from inference.engine.processor import PerRequestProcessor
from inference.engine.sampling import Sampling

# It writes to standard error by itself, past the logging of the site, and much of it.
_library = logging.getLogger("ContinuousBatchingLogger")
_library.handlers.clear()
_library.setLevel(logging.WARNING)

PAGE = 32
"""Tokens. The unit in which the cache is given out, and in which turns of one chat share it."""


@dataclass(frozen=True)
class Sizes:
    cache_tokens: int = 8192
    """Tokens of all requests together that the cache holds. Where it is full, the youngest requests wait."""
    batch_tokens: int = 256
    """Tokens that one step computes: a long prompt takes several, and the others go on in between."""
    slots: int = 16

    @property
    def largest_request(self) -> int:
        """Prompt and answer of one request, in tokens. The margin keeps the scheduler from painting itself in."""
        return self.cache_tokens - 2 * PAGE


@dataclass(frozen=True)
class Step:
    """What the model has written for one request so far."""

    request_id: str
    token_ids: list[int]
    ended: bool = False
    failed: str = ""


class _Manager(ContinuousBatchingManager):
    """Two things differ: our processor stands in, and the thread does not keep the process from ending."""

    def start(self) -> None:
        if self.is_running():
            return
        self.background_thread_status.clear()
        thread = threading.Thread(target=self._run_generation_loop, name="model", daemon=True)
        self._generation_thread = thread
        thread.start()


class Batch:
    """A running model loop. It dies with its first error and is then replaced by a new one.

    Never two at once on one model: the library's forward pass keeps state on the model object, and both go wrong.
    """

    def __init__(self, loaded: Loaded, sizes: Sizes) -> None:
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
                # Our processor keeps Python objects beside the tensors: nothing here may be captured or run ahead.
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

    def add(self, request_id: str, prompt_ids: list[int], max_tokens: int, chosen: Sampling) -> None:
        # Greedy without a penalty needs no processing: no setting, and the row is never touched.
        plain = chosen.greedy and chosen.repetition_penalty == 1 and not chosen.logit_bias
        settings: dict[str, Any] = {} if plain else {"sampling": chosen}
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
        """The next news of any request, or None if there were none for so long."""
        try:
            output: GenerationOutput = self._manager.output_router.output_queue.get(timeout=seconds)
        except queue.Empty:
            return None
        failed = ""
        if output.status == RequestStatus.FAILED:
            failed = output.error or "unknown error"
        return Step(output.request_id, output.generated_tokens, output.is_finished(), failed)

    def stop(self, seconds: float) -> None:
        """Ends after the step in work."""
        if self._manager.is_running():
            self._manager.stop(hard_stop=True, timeout=seconds)
