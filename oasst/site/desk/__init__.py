"""The moderators' desk: one queue of everything that needs a decision, and one item of it at a time."""
