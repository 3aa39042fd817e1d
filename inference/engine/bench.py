"""Measure the speed of a model: `python -m inference.engine.bench FOLDER`. Used by `scripts/bench chat`."""

import argparse
import asyncio
import os
import queue
import resource
import statistics
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from inference.engine.base import Chunk, Engine, Message, Request
from inference.engine.sampling import Sampling

QUESTION = "Explain to a curious child, in simple words and with an example, how bread is made. "


def say(name: str, *values: object) -> None:
    sys.stdout.write(f"{name:44}" + "".join(f"{value!s:>12}" for value in values) + "\n")
    sys.stdout.flush()


def request(name: str, tokens: int, end_ids: tuple[int, ...], **settings: float) -> Request:
    """Return a request whose answer has exactly `tokens` tokens, because end tokens are forbidden."""
    chosen = Sampling(max_tokens=tokens, logit_bias=dict.fromkeys(end_ids, -100.0), **settings)  # type: ignore[arg-type]
    return Request(name, [Message("user", QUESTION + name)], chosen)


def run(engine: Engine, requests: list[Request]) -> tuple[float, list[float], float]:
    """Return tokens per second of all requests with their prompts, the sorted seconds to the first text of each, and
    tokens per second while all of them write."""
    chunks: queue.SimpleQueue[tuple[float, Chunk]] = queue.SimpleQueue()
    began = time.perf_counter()
    for item in requests:
        engine.add(item, lambda chunk: chunks.put((time.perf_counter(), chunk)))
    first: dict[str, float] = {}
    written: list[tuple[float, int]] = []
    ends: list[float] = []
    while len(ends) < len(requests):
        at, chunk = chunks.get()
        written.append((at, len(chunk.token_ids)))
        if chunk.token_ids:
            first.setdefault(chunk.request_id, at - began)
        if chunk.finish is not None:
            ends.append(at)
    rate = sum(number for _, number in written) / (time.perf_counter() - began)
    all_began, one_ended = began + max(first.values()), min(ends)
    meanwhile = sum(number for at, number in written if all_began < at <= one_ended)
    return rate, sorted(first.values()), meanwhile / max(1e-3, one_ended - all_began)


def first_text_beside(engine: Engine, others: int, end_ids: tuple[int, ...]) -> float:
    """Return the seconds to the first text of a request that comes while `others` are being answered."""
    ready = threading.Semaphore(0)
    for number in range(others):
        engine.add(request(f"other {number}", 1000, end_ids, temperature=0), lambda chunk: ready.release())
    for _ in range(others):
        ready.acquire()
    _, first, _ = run(engine, [request("late", 2, end_ids, temperature=0)])
    for number in range(others):
        engine.cancel(f"other {number}")
    return first[0]


def static_rate(model: object, ids: list[list[int]], tokens: int) -> float:
    """Return tokens per second of plain `generate` on one padded batch, the baseline without an engine."""
    import torch

    longest = max(map(len, ids))
    padded = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in ids])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in ids])
    began = time.perf_counter()
    model.generate(  # type: ignore[attr-defined]
        padded, attention_mask=mask, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0
    )
    return len(ids) * tokens / (time.perf_counter() - began)


def llama_rates(gguf: Path, prompts: list[list[int]], tokens: int, threads: int) -> list[float]:
    """Return tokens per second of llama.cpp, for one stream and for all at once."""
    import xllamacpp  # type: ignore[import-not-found]  # installed only for this comparison

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_parallel, params.n_ctx = len(prompts), len(prompts) * 1024
    server = xllamacpp.Server(params)
    settings = {"n_predict": tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": False}

    def rate(streams: list[list[int]]) -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(len(streams)) as pool:
            list(pool.map(lambda ids: server.handle_completions({"prompt": ids, **settings}), streams))
        return len(streams) * tokens / (time.perf_counter() - began)

    rate(prompts[:1])
    return [rate(prompts[:1]), rate(prompts)]


async def loop_delays(engine: Engine, streams: int, tokens: int, end_ids: tuple[int, ...]) -> list[float]:
    """Return the sorted delays of an event loop that sleeps 5 ms at a time while the model writes, in seconds."""
    requests = [request(f"d{number}", tokens, end_ids) for number in range(streams)]
    work = asyncio.create_task(asyncio.to_thread(run, engine, requests))
    delays = []
    while not work.done():
        began = time.perf_counter()
        await asyncio.sleep(0.005)
        delays.append(time.perf_counter() - began - 0.005)
    return sorted(delays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--gguf", type=Path, help="compare with llama.cpp on this file, by xllamacpp")
    options = parser.parse_args()
    from inference.engine.torch_engine import open_engine

    say("load of the machine before", *(f"{load:.1f}" for load in os.getloadavg()))
    began = time.perf_counter()
    engine = open_engine(options.folder, threads=options.threads, dtype=options.dtype)
    say("seconds to import and load", f"{time.perf_counter() - began:.1f}")
    loaded, ends = engine._loaded, engine._loaded.end_ids
    run(engine, [request("warm", 4, ends)])
    idle = statistics.median(run(engine, [request(f"idle {n}", 2, ends, temperature=0)])[1][0] for n in range(5))
    say("ms to the first text, idle", f"{idle * 1000:.0f}")
    say("ms to the first text, 8 others streaming", f"{first_text_beside(engine, 8, ends) * 1000:.0f}")
    say("streams", "greedy", "sampled", "x one", "all writing", "x one")
    alone = alone_writing = 0.0
    for streams in (1, 4, 8, 16):
        greedy, _, writing = run(
            engine, [request(f"g{n}", options.tokens, ends, temperature=0) for n in range(streams)]
        )
        chosen = {"temperature": 0.75, "top_k": 50, "top_p": 0.95, "repetition_penalty": 1.2}
        sampled = run(engine, [request(f"s{n}", options.tokens, ends, **chosen) for n in range(streams)])[0]
        alone, alone_writing = alone or greedy, alone_writing or writing
        rates = (f"{greedy:.1f}", f"{sampled:.1f}", f"{greedy / alone:.1f}")
        say(f"{streams}: tokens a second", *rates, f"{writing:.1f}", f"{writing / alone_writing:.1f}")
        if streams == 8:
            eight = greedy
    delays = asyncio.run(loop_delays(engine, 8, options.tokens, ends))
    middle, late = delays[len(delays) // 2], delays[int(len(delays) * 0.95)]
    say("ms an event loop is late: middle, p95, most", *(f"{delay * 1000:.1f}" for delay in (middle, late, delays[-1])))
    ids = [engine._prompts.render(request(f"g{n}", 1, ends).messages) for n in range(8)]
    engine.close()
    static = static_rate(loaded.model, ids, options.tokens)
    say("static batch of 8, plain generate", f"{static:.1f}", "", f"{eight / static:.2f} of it")
    if options.gguf:
        # In another process, so that threads and memory of the libraries stay apart.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            single, all_streams = process.submit(
                llama_rates, options.gguf, ids, options.tokens, options.threads
            ).result()
        say("llama.cpp, 1 stream", f"{single:.1f}", "", f"{alone / single:.2f} of it")
        say("llama.cpp, 8 streams", f"{all_streams:.1f}", "", f"{eight / all_streams:.2f} of it")
    say("MiB of memory at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    say("load of the machine after", *(f"{load:.1f}" for load in os.getloadavg()))


if __name__ == "__main__":
    main()
