"""Filter the trees or messages of a file. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from trees.interchange.file_tools.nodes import nodes_of, rebuilt, single_messages
from trees.interchange.format import Node
from trees.interchange.named_counts import are_lists, by_name
from trees.interchange.selection import Inclusion
from trees.lifecycle.states import State


@dataclass(frozen=True)
class FileFilter:
    """Which trees and messages of a file are kept. The default keeps everything.

    A message that is left out takes its replies along. Where one kind of messages, or those of one user, are wanted,
    the result is single messages, since nothing holds them together.
    """

    states: frozenset[str] = frozenset()  # of trees; empty for all
    langs: frozenset[str] = frozenset()  # in lower case; of trees, or of messages where single ones are wanted
    synthetic_trees: bool = True  # False leaves out trees with machine-made text
    deleted: Inclusion = Inclusion.WITH
    rejected: Inclusion = Inclusion.WITH
    synthetic: Inclusion = Inclusion.WITH
    user: str | None = None
    prompts_only: bool = False
    at_least: Mapping[str, float] = field(default_factory=dict)  # label → lowest mean
    at_most: Mapping[str, float] = field(default_factory=dict)  # label → highest mean
    unlabeled: bool = True  # False leaves out messages without a label that is asked for

    @property
    def is_flat(self) -> bool:
        return self.user is not None or Inclusion.ONLY in (self.deleted, self.rejected, self.synthetic)

    def apply(self, tree: Node) -> Iterator[Node]:
        """Yield what is kept of a tree: the tree, or single messages."""
        if self.states and (tree.get("tree_state") or State.BACKLOG_RANKING.value) not in self.states:
            return
        if not self.synthetic_trees and any(node.get("synthetic") is True for node in nodes_of(tree)):
            return
        if self.is_flat:
            for message in single_messages(tree):
                if self._is_of_lang(message, tree) and self._is_kept(message):
                    yield message
        elif self._is_of_lang(tree["prompt"], tree) and (kept := rebuilt(tree, self._kept)) is not None:
            yield kept

    def _kept(self, node: Node) -> Node | None:
        if not self._is_kept(node):
            return None
        return node | {"replies": []} if self.prompts_only and "replies" in node else dict(node)

    def _is_of_lang(self, node: Node, tree: Node) -> bool:
        lang = node.get("lang") or tree["prompt"].get("lang") or "en"
        return not self.langs or lang.lower() in self.langs

    def _is_kept(self, node: Node) -> bool:
        kinds = (
            (self.deleted, node.get("deleted") is True),
            (self.rejected, node.get("review_result") is False),
            (self.synthetic, node.get("synthetic") is True),
        )
        for inclusion, is_so in kinds:
            if inclusion is not Inclusion.WITH and is_so is not (inclusion is Inclusion.ONLY):
                return False
        if self.user is not None and node.get("user_id") != self.user:
            return False
        if self.is_flat and self.prompts_only and node.get("parent_id") is not None:
            return False
        return self._has_labels(node)

    def _has_labels(self, node: Node) -> bool:
        wanted = [*((name, low, 1.0) for name, low in self.at_least.items())]
        wanted += [(name, 0.0, high) for name, high in self.at_most.items()]
        for name, low, high in wanted:
            mean = mean_of(node, name)
            if mean is None and not self.unlabeled:
                return False
            if mean is not None and not low <= mean <= high:
                return False
        return True


def labels_of(node: Node) -> dict[str, Any]:
    """Return label → {value, count}, whichever form the file has."""
    labels = node.get("labels")
    if are_lists(labels, "labels"):
        return by_name("labels", labels)
    return labels if isinstance(labels, dict) else {}


def mean_of(node: Node, label: str) -> float | None:
    given = labels_of(node).get(label)
    value = given.get("value") if isinstance(given, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
