"""The threads of trees: the messages from the prompt to each message without replies. Pure."""

from collections.abc import Iterator

from trees.interchange.file_tools.nodes import replies_of
from trees.interchange.format import Node


def threads_of(tree: Node) -> Iterator[Node]:
    """Yield `{thread_id, message_tree_id, thread}`; the id is that of the last message."""
    # The path of a message is shared by all threads through it, so it is kept once: (node, path to its parent).
    waiting: list[tuple[Node, tuple[Node, ...]]] = [(tree["prompt"], ())]
    while waiting:
        node, above = waiting.pop()
        path = (*above, {key: value for key, value in node.items() if key != "replies"})
        if replies := replies_of(node):
            waiting.extend((reply, path) for reply in reversed(replies))
        else:
            yield {"thread_id": node["message_id"], "message_tree_id": tree["message_tree_id"], "thread": list(path)}


def as_text(thread: Node) -> str:
    """Return a thread for people to read."""
    said = (f"[{node['role']}] {node['text']}" for node in thread["thread"])
    return f"--- {thread['thread_id']}\n" + "\n".join(said) + "\n"
