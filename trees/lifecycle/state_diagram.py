"""The diagram and table of tree states, made from the table that the code uses.

docs/domain.md holds what `state_picture` returns; a test keeps the two equal.
"""

from trees.lifecycle.states import TABLE, State


def state_picture() -> str:
    """Return a Mermaid state diagram. It leaves out halting, which is possible from every state."""
    halted = State.HALTED_BY_MODERATOR
    lines = ["stateDiagram-v2"]
    lines += [f"    {state.value} : {row.label}" for state, row in TABLE.items()]
    lines += [f"    [*] --> {State.INITIAL_PROMPT_REVIEW.value}", f"    [*] --> {State.BACKLOG_RANKING.value}"]
    for state, row in TABLE.items():
        if state != halted:
            lines += [f"    {state.value} --> {to.value}" for to in State if to in row.goes_to and to != halted]
    return "\n".join(lines)


def state_table() -> str:
    """Return the states as a Markdown table: meaning, work for people, next states."""
    lines = ["| State | Means | Work for people | Can go to |", "|---|---|---|---|"]
    for state, row in TABLE.items():
        work = ", ".join(f"`{work}`" for work in sorted(row.offers)) or "–"
        everywhere = row.goes_to >= frozenset(State) - {state}
        to = "back to where it was" if everywhere else ", ".join(f"`{to}`" for to in State if to in row.goes_to)
        lines.append(f"| `{state}` | {row.meaning} | {work} | {to} |")
    return "\n".join(lines)
