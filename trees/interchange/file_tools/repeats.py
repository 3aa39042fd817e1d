"""Leave out what nearly repeats an earlier message of the files. It needs only the texts: their wording is compared."""

from trees.interchange.file_tools.nodes import rebuilt
from trees.interchange.format import Node
from trees.interchange.wordings import Wordings, kind_of


class FirstOnly:
    """Keeps the first of several messages that are nearly the same, among all trees that it is given."""

    def __init__(self) -> None:
        self.left_out = 0  # messages, without those below them

    def __enter__(self) -> "FirstOnly":
        self._wordings = Wordings()
        return self

    def __exit__(self, *_: object) -> None:
        self._wordings.close()

    def apply(self, node: Node) -> Node | None:
        """Return the tree, or the single message, without what repeats an earlier one; None if nothing is left."""
        if "prompt" not in node:
            return self._first(node, is_prompt=node.get("parent_id") is None, lang=node.get("lang"))
        prompt = node["prompt"]
        lang = prompt.get("lang")
        return rebuilt(node, lambda one: self._first(dict(one), is_prompt=one is prompt, lang=one.get("lang") or lang))

    def _first(self, node: Node, *, is_prompt: bool, lang: str | None) -> Node | None:
        kind = kind_of(lang or "en", is_prompt=is_prompt)
        if self._wordings.earlier(node["text"], kind=kind, key=node["message_id"]) is None:
            return node
        self.left_out += 1
        return None
