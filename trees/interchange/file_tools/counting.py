"""Statistics of a file: a fold over its trees, in memory that does not grow with them. Pure."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from trees.interchange.file_tools.filtering import labels_of, mean_of
from trees.interchange.file_tools.nodes import replies_of
from trees.interchange.format import Node
from trees.lifecycle.states import State


@dataclass
class FileCounts:
    trees: int = 0
    messages: int = 0
    threads: int = 0
    characters: int = 0
    longest: int = 0  # characters
    states: Counter[str] = field(default_factory=Counter)  # trees
    languages: Counter[str] = field(default_factory=Counter)  # messages
    roles: Counter[str] = field(default_factory=Counter)
    depths: Counter[int] = field(default_factory=Counter)  # messages by the number of messages above them
    replies: Counter[int] = field(default_factory=Counter)  # messages by the number of their replies
    facts: Counter[str] = field(default_factory=Counter)  # messages that are deleted, rejected, …
    label_sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    labels: Counter[str] = field(default_factory=Counter)

    def add(self, tree: Node) -> None:
        self.trees += 1
        self.states[tree.get("tree_state") or State.BACKLOG_RANKING.value] += 1
        root_lang = tree["prompt"].get("lang") or "en"
        waiting = [(tree["prompt"], 0)]
        while waiting:
            node, depth = waiting.pop()
            self._add_message(node, depth, root_lang)
            waiting.extend((reply, depth + 1) for reply in replies_of(node))

    def _add_message(self, node: Node, depth: int, root_lang: str) -> None:
        replies = len(replies_of(node))
        self.messages += 1
        self.threads += not replies
        self.characters += len(node["text"])
        self.longest = max(self.longest, len(node["text"]))
        self.languages[node.get("lang") or root_lang] += 1
        self.roles[node["role"]] += 1
        self.depths[depth] += 1
        self.replies[replies] += 1
        facts = {
            "accepted": node.get("review_result") is True,
            "rejected": node.get("review_result") is False,
            "deleted": node.get("deleted") is True,
            "synthetic": node.get("synthetic") is True,
            "ranked": node.get("rank") is not None,
        }
        self.facts.update(name for name, is_so in facts.items() if is_so)
        for name in labels_of(node):
            if (mean := mean_of(node, name)) is not None:
                self.label_sums[name] += mean
                self.labels[name] += 1

    def result(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "trees": self.trees,
            "messages": self.messages,
            "threads": self.threads,
            "mean_characters": round(self.characters / self.messages, 1) if self.messages else None,
            "longest_message": self.longest,
            "trees_by_state": dict(self.states.most_common()),
            "messages_by_language": dict(self.languages.most_common()),
            "messages_by_role": dict(self.roles.most_common()),
            "messages_by_depth": {str(depth): number for depth, number in sorted(self.depths.items())},
            "messages_by_replies": {str(replies): number for replies, number in sorted(self.replies.items())},
            "messages_that_are": dict(sorted(self.facts.items())),
            "labels": {
                name: {"messages": number, "mean": round(self.label_sums[name] / number, 4)}
                for name, number in sorted(self.labels.items())
            },
        }
