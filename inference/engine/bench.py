"""`python -m inference.engine.bench FOLDER`: how fast a model answers here. Called by `scripts/bench chat`."""

import argparse
import asyncio
import os
import queue
import resource
import statistics
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from inference.engine.base import Chunk, Engine, Message, Request
from inference.engine.sampling import Sampling

QUESTION = "Explain to a curious child, in simple words and with an example, how bread is made. "


def say(name: str, *values: object) -> None:
    sys.stdout.write(f"{name:44}" + "".join(f"{value!s:>12}" for value in values) + "\n")
    sys.stdout.flush()


def request(name: str, tokens: int, end_ids: tuple[int, ...], **settings: float) -> Request:
    """Always `tokens` long: the end of a turn is forbidden."""
    chosen = Sampling(max_tokens=tokens, logit_bias=dict.fromkeys(end_ids, -100.0), **settings)  # type: ignore[arg-type]
    return Request(name, [Message("user", QUESTION + name)], chosen)


def run(engine: Engine, requests: list[Request]) -> tuple[float, list[float], float]:
    """Tokens a second of all together with the reading of their prompts, for each the seconds to its first text, and
    tokens a second of all together while all of them write."""
    chunks: queue.SimpleQueue[tuple[float, Chunk]] = queue.SimpleQueue()
    began = time.perf_counter()
    for one in requests:
        engine.add(one, lambda chunk: chunks.put((time.perf_counter(), chunk)))
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
    """Seconds to the first text of one who comes while `others` are being answered."""
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
    """Tokens a second of plain `generate` on one padded batch: what one would do without an engine."""
    import torch

    longest = max(map(len, ids))
    padded = torch.tensor([[0] * (longest - len(one)) + one for one in ids])
    mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in ids])
    began = time.perf_counter()
    model.generate(  # type: ignore[attr-defined]
        padded, attention_mask=mask, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0
    )
    return len(ids) * tokens / (time.perf_counter() - began)


def llama_rates(gguf: Path, prompts: list[list[int]], tokens: int, threads: int) -> list[float]:
    """Tokens a second of llama.cpp, for one stream and for all at once."""
    import xllamacpp  # type: ignore[import-not-found]  # only whoever compares installs it

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_parallel, params.n_ctx = len(prompts), len(prompts) * 1024
    server = xllamacpp.Server(params)
    settings = {"n_predict": tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": False}

    def rate(streams: list[list[int]]) -> float:
        began = time.perf_counter()
        callers = [
            threading.Thread(target=server.handle_completions, args=({"prompt": ids, **settings},)) for ids in streams
        ]
        for one in callers:
            one.start()
        for one in callers:
            one.join()
        return len(streams) * tokens / (time.perf_counter() - began)

    rate(prompts[:1])
    return [rate(prompts[:1]), rate(prompts)]


async def loop_delays(engine: Engine, streams: int, tokens: int, end_ids: tuple[int, ...]) -> list[float]:
    """How late an event loop in the same process wakes from a sleep of 5 ms while the model writes."""
    work = asyncio.create_task(
        asyncio.to_thread(run, engine, [request(f"d{number}", tokens, end_ids) for number in range(streams)])
    )
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

    say("load of the machine before", *(f"{one:.1f}" for one in os.getloadavg()))
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
    say("ms an event loop is late: middle, p95, most", *(f"{one * 1000:.1f}" for one in (middle, late, delays[-1])))
    ids = [engine._prompts.render(request(f"g{n}", 1, ends).messages) for n in range(8)]
    engine.close()
    static = static_rate(loaded.model, ids, options.tokens)
    say("static batch of 8, plain generate", f"{static:.1f}", "", f"{eight / static:.2f} of it")
    if options.gguf:
        # In a process of its own: two libraries with threads of their own kinds, and memory that is not ours.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            one, all_of_them = apart.submit(llama_rates, options.gguf, ids, options.tokens, options.threads).result()
        say("llama.cpp, 1 stream", f"{one:.1f}", "", f"{alone / one:.2f} of it")
        say("llama.cpp, 8 streams", f"{all_of_them:.1f}", "", f"{eight / all_of_them:.2f} of it")
    say("MiB of memory at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    say("load of the machine after", *(f"{one:.1f}" for one in os.getloadavg()))


if __name__ == "__main__":
    main()
