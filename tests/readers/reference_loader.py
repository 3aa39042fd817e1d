"""Samples as Open-Assistant's loader takes them from a file of trees, written from its description and independent of
the site: https://github.com/LAION-AI/Open-Assistant (`oasst_export`, Apache-2.0).

It checks the review of the prompt only, and machine-made or deleted messages only above the last reply.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

Message = dict[str, Any]
Thread = list[Message]


def trees_from_rows(rows: list[Message]) -> list[dict[str, Any]]:
    """Return the trees of depth-first rows, as the published flat data set is read."""
    trees: list[dict[str, Any]] = []
    stack: list[Message] = []
    for row in rows:
        message = {**row, "replies": []}
        if message["parent_id"] is None:
            trees.append({key: row[key] for key in ("message_tree_id", "tree_state")} | {"prompt": message})
            stack = []
        while stack and stack[-1]["message_id"] != message["parent_id"]:
            stack.pop()
        if stack:
            stack[-1]["replies"].append(message)
        stack.append(message)
    return trees


def sft_threads(tree: dict[str, Any], *, lang: str = "en", top_k: int | None = None) -> list[Thread]:
    """Return each path to a leaf, without a last message of the prompter; of several such leaves the first counts."""
    threads = []
    for path in _paths(tree, lang):
        leaf = path[-1]
        if len(path) < 2 or leaf.get("replies") or not _passes(path, top_k):
            continue
        if leaf["role"] == "prompter":
            if path[-2]["replies"][0] is leaf:
                threads.append(path[:-1])
        else:
            threads.append(path)
    return threads


def rm_samples(tree: dict[str, Any], *, lang: str = "en", top_k: int | None = None) -> list[tuple[Thread, Thread]]:
    """Return each path to a prompter's message with more than one ranked reply, and those replies, best first."""
    samples = []
    for path in _paths(tree, lang):
        ranked = [reply for reply in path[-1].get("replies") or [] if reply.get("rank") is not None]
        if path[-1]["role"] == "prompter" and len(ranked) > 1 and _passes(path, top_k):
            samples.append((path, sorted(ranked, key=lambda reply: reply["rank"])))
    return samples


def rl_prompts(tree: dict[str, Any], *, lang: str = "en") -> list[Thread]:
    return [path for path in _paths(tree, lang) if path[-1]["role"] == "prompter" and _passes(path, None)]


def _paths(tree: dict[str, Any], lang: str) -> Iterator[Thread]:
    prompt = tree["prompt"]
    if tree["tree_state"] == "ready_for_export" and prompt["review_result"] and prompt["lang"] in lang.split(","):
        yield from _below([prompt])


def _below(path: Thread) -> Iterator[Thread]:
    yield path
    for reply in path[-1].get("replies") or []:
        yield from _below([*path, reply])


def _passes(path: Thread, top_k: int | None) -> bool:
    if any(message.get("deleted") or message.get("synthetic") for message in path):
        return False
    for above, message in pairwise(path):
        if top_k is None or message["role"] != "assistant":
            continue
        rank = message.get("rank")
        if (rank >= top_k) if rank is not None else (len(above["replies"]) > 1):
            return False
    return True
