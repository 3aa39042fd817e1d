"""The contract: what we rely on in transformers' continuous batching, parts of which are internals.

When another version of the library is pinned and one of these fails, inference/engine/batching.py has to change.
"""

import inspect
import time

import transformers
from transformers.generation.continuous_batching.continuous_api import ContinuousBatchingManager, OutputRouter

from inference.engine.batching import Batch, Sizes, Step
from inference.engine.loading import LoadedModel
from inference.engine.sampling import Sampling

GREEDY = Sampling(temperature=0)


def collect(batch: Batch, names: set[str], seconds: float = 60) -> dict[str, list[Step]]:
    steps: dict[str, list[Step]] = {name: [] for name in names}
    deadline = time.monotonic() + seconds
    while not all(steps[name] and steps[name][-1].ended for name in names):
        assert time.monotonic() < deadline, steps
        if (step := batch.step(0.1)) is not None:
            steps[step.request_id].append(step)
    return steps


def test_the_version_that_this_was_written_for() -> None:
    assert transformers.__version__ == "5.23.0"
    assert {"_run_generation_loop", "switch_to_cb_friendly_attn", "add_request", "cancel_request"} <= set(
        dir(ContinuousBatchingManager)
    )
    assert "output_queue" in inspect.getsource(OutputRouter.__init__)


def test_each_step_tells_all_tokens_so_far_and_the_last_that_it_is(tiny_model: LoadedModel) -> None:
    batch = Batch(tiny_model, Sizes())
    try:
        batch.add("a", [5, 6, 7], 5, GREEDY)
        steps = collect(batch, {"a"})["a"]
        assert [len(step.token_ids) for step in steps] == list(range(1, len(steps) + 1))
        assert [step.ended for step in steps] == [False] * (len(steps) - 1) + [True]
        assert len(steps) == 5 or steps[-1].token_ids[-1] in tiny_model.end_ids
        assert not steps[-1].failed
    finally:
        batch.stop(5)


def test_a_cancelled_request_falls_silent_and_makes_room(tiny_model: LoadedModel) -> None:
    batch = Batch(tiny_model, Sizes(slots=1))
    try:
        batch.add("a", [5, 6, 7], 2000, Sampling(logit_bias={tiny_model.end_ids[0]: -100}, temperature=0))
        assert batch.step(60) is not None
        batch.cancel("a")
        batch.cancel("never heard of")
        batch.add("b", [5, 6], 3, GREEDY)
        while (step := batch.step(60)) is not None and step.request_id == "a":
            assert not step.ended
        assert step is not None and step.request_id == "b"
    finally:
        batch.stop(5)


def test_a_full_cache_makes_the_youngest_wait_and_loses_nothing(tiny_model: LoadedModel) -> None:
    """Their pages are evicted and computed again later; the reported tokens stay the same."""
    no_end = Sampling(temperature=0, logit_bias=dict.fromkeys(tiny_model.end_ids, -100))
    prompts = {f"r{number}": [(number * 37 + place) % 300 for place in range(20 + number)] for number in range(10)}
    said = []
    for sizes in (Sizes(), Sizes(cache_tokens=512, batch_tokens=64)):
        batch = Batch(tiny_model, sizes)
        try:
            for name, prompt in prompts.items():
                batch.add(name, prompt, 80, no_end)
            said.append({name: steps[-1].token_ids for name, steps in collect(batch, set(prompts)).items()})
        finally:
            batch.stop(5)
    assert said[0] == said[1]


def test_it_dies_with_an_error_and_says_so(tiny_model: LoadedModel) -> None:
    batch = Batch(tiny_model, Sizes())
    try:
        assert batch.alive
        batch.add("bad", [10**6], 5, GREEDY)  # a token that the model does not have
        deadline = time.monotonic() + 60
        step = None
        while batch.alive:
            step = batch.step(0.1) or step
            assert time.monotonic() < deadline
        step = batch.step(1) or step
        assert step is not None and step.failed
    finally:
        batch.stop(5)


def test_it_ends_within_seconds(tiny_model: LoadedModel) -> None:
    batch = Batch(tiny_model, Sizes())
    batch.add("a", [5, 6, 7], 2000, GREEDY)
    assert batch.step(60) is not None
    batch.stop(5)
    assert not batch.alive
