"""Walking and rebuilding trees as JSON objects. Pure. Loops instead of recursion: a file may nest deep."""

from collections.abc import Callable, Iterator

from trees.interchange.format import Node


def replies_of(node: Node) -> list[Node]:
    replies: list[Node] = node.get("replies") or []
    return replies


def nodes_of(tree: Node) -> Iterator[Node]:
    """Yield the messages of a tree, each before its replies."""
    waiting = [tree["prompt"]]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(replies_of(node)))


def rebuilt(tree: Node, change: Callable[[Node], Node | None]) -> Node | None:
    """Return a copy of the tree with each message as `change` returns it.

    None leaves the message out, with everything below it: without its prompt there is no tree, and None is returned.
    """
    prompt = change(tree["prompt"])
    if prompt is None:
        return None
    result = tree | {"prompt": prompt}
    waiting = [prompt]
    while waiting:
        node = waiting.pop()
        if node.get("replies"):
            changed = (change(reply) for reply in node["replies"])
            node["replies"] = [reply for reply in changed if reply is not None]
            waiting.extend(node["replies"])
    return result


def single_messages(tree: Node) -> Iterator[Node]:
    """Yield the messages of a tree one by one: without replies, with the ids of their tree and parent."""
    above = {key: tree[key] for key in ("message_tree_id", "tree_state") if key in tree}
    waiting: list[tuple[Node, str | None]] = [(tree["prompt"], None)]
    while waiting:
        node, parent_id = waiting.pop()
        single = {key: value for key, value in node.items() if key != "replies"} | above
        yield single | ({"parent_id": parent_id} if parent_id else {})
        waiting.extend((reply, node["message_id"]) for reply in reversed(replies_of(node)))
