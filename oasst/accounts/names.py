"""Friendly names for people who did not choose one: two words, nothing to be ashamed of. And other services' names."""

import secrets

_MANNERS = (
    *("Able", "Amber", "Brave", "Bright", "Calm", "Candid", "Cheerful", "Clever", "Cosy", "Curious"),
    *("Daring", "Dapper", "Eager", "Fair", "Gentle", "Glad", "Golden", "Happy", "Honest", "Humble"),
    *("Jolly", "Keen", "Kind", "Lively", "Lucky", "Mellow", "Merry", "Mighty", "Neat", "Nimble"),
    *("Patient", "Plucky", "Polite", "Proud", "Quick", "Quiet", "Silver", "Steady", "Sunny", "Swift"),
    *("Tidy", "Trusty", "Vivid", "Warm", "Wise", "Witty", "Zesty"),
)
_CREATURES = (
    *("Badger", "Beaver", "Bison", "Bunting", "Cormorant", "Crane", "Curlew", "Dolphin", "Dormouse", "Eagle"),
    *("Egret", "Falcon", "Ferret", "Finch", "Fox", "Gecko", "Hare", "Hedgehog", "Heron", "Ibex"),
    *("Jackdaw", "Kestrel", "Kingfisher", "Koala", "Lark", "Lemur", "Lynx", "Magpie", "Marmot", "Marten"),
    *("Newt", "Nuthatch", "Otter", "Owl", "Panda", "Penguin", "Plover", "Puffin", "Raven", "Robin"),
    *("Salmon", "Seal", "Sparrow", "Squirrel", "Stork", "Swallow", "Tapir", "Tern", "Turtle", "Wombat"),
    *("Wren", "Yak"),
)


def friendly_name() -> str:
    """Not unique, as names of people are not."""
    return f"{secrets.choice(_MANNERS)} {secrets.choice(_CREATURES)}"


def tidy_name(name: str) -> str:
    """A name that another service gave, on one line and without what can not be seen. It is theirs, so all else stays;
    only the joiner of emojis is kept of what has no ink.
    """
    return " ".join("".join(c if c.isprintable() or c == "\u200d" else " " for c in name).split())
