"""The picture of the tree states, drawn from the table that the code moves along.

docs/domain.md holds what `state_picture` returns; a test keeps the two equal.
"""

from trees.lifecycle.states import TABLE, State


def state_picture() -> str:
    """A Mermaid state diagram. Stopping is left out of it, because it is possible from everywhere."""
    halted = State.HALTED_BY_MODERATOR
    lines = ["stateDiagram-v2"]
    lines += [f"    {state.value} : {row.label}" for state, row in TABLE.items()]
    lines += [f"    [*] --> {State.INITIAL_PROMPT_REVIEW.value}", f"    [*] --> {State.BACKLOG_RANKING.value}"]
    for state, row in TABLE.items():
        if state != halted:
            lines += [f"    {state.value} --> {to.value}" for to in State if to in row.goes_to and to != halted]
    return "\n".join(lines)


def state_table() -> str:
    """The states as a Markdown table: what each means, what people can do in it, where it can go."""
    lines = ["| State | Means | Work for people | Can go to |", "|---|---|---|---|"]
    for state, row in TABLE.items():
        work = ", ".join(f"`{work}`" for work in sorted(row.offers)) or "–"
        everywhere = row.goes_to >= frozenset(State) - {state}
        to = "back to where it was" if everywhere else ", ".join(f"`{to}`" for to in State if to in row.goes_to)
        lines.append(f"| `{state}` | {row.meaning} | {work} | {to} |")
    return "\n".join(lines)
