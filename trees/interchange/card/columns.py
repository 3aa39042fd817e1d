"""What each column of the forms means, for the data card. A test holds it against the forms."""

from collections.abc import Mapping

COLUMNS: Mapping[str, str] = {
    "message_id": "Pseudonym of the message.",
    "parent_id": "The message that this one replies to; null for a prompt.",
    "user_id": "Pseudonym of the person; the same person has the same one in all files.",
    "created_date": "When it was written, in UTC.",
    "text": "The text as its author sent it, in Markdown.",
    "role": "`prompter` or `assistant`.",
    "lang": "BCP 47 language that the text was written for. In conversations: of the initial prompt.",
    "review_count": "Number of reviews that decided.",
    "review_result": "True if reviewers accepted it, false if they rejected it, null while undecided.",
    "deleted": "True if a moderator removed it.",
    "rank": "Consensus among its siblings: 0 is best; null without one.",
    "synthetic": "True if a machine wrote it.",
    "model_name": "The model that wrote it.",
    "detoxify": "Scores of a toxicity model from 0 to 1; null if unknown.",
    "message_tree_id": "The tree, which has the id of its prompt.",
    "tree_state": "State of the tree when it was frozen.",
    "emojis": "Reactions of readers: names with counts.",
    "labels": "Mean answer of reviewers to each question from 0 to 1, with the number of answers.",
    "review_labels": "Mean answers of reviewers about the last message, as in `labels` of the messages.",
    "basis": "Why it may be published: the terms that its author agreed to, or the license of an imported file.",
    "bases": "The different bases of all messages in the row.",
    "prompt": "The conversation up to the question, as `role` and `content`.",
    "messages": "The conversation, as `role` (`user`, `assistant`) and `content`.",
    "message_ids": "Ids of its messages in the same order.",
    "top_k": "The conversation follows only replies of a rank below this number; null if one has no rank.",
    "prompt_id": "The message that was replied to.",
    "chosen_id": "The preferred reply.",
    "rejected_id": "The other reply.",
    "chosen": "The preferred reply, as `role` and `content`.",
    "rejected": "The other reply, as `role` and `content`.",
    "preference_share": "Share of the people who ranked both that prefer the chosen one; null if unknown.",
    "rankings": "Number of people behind the order; null if a file gave ranks without them.",
    "chosen_rank": "Consensus rank of the chosen reply.",
    "rejected_rank": "Consensus rank of the rejected reply.",
    "near_tie": "True if at most 60 % prefer the chosen one, or if ranks say otherwise; null if unknown.",
    "replies": "Replies, best first. `score` is the mean share of people who prefer it to each of the others.",
    "completion_id": "The judged reply.",
    "completion": "The judged reply, as `role` and `content`.",
    "label": "True for a good reply, false for a bad one.",
    "decided_by": "`review` or `rank`.",
    "kind": "`review` (requested; these decide), `free` labels, or a `report`.",
    "ranked_message_ids": "The replies, best first, as this person ordered them.",
    "not_rankable": "True if the person called every reply wrong; the order means nothing then.",
}
"""By name: a column means the same in all forms, except those below."""

ELSEWHERE: Mapping[tuple[str, str], str] = {
    ("review_events", "labels"): "The answers of this person from 0 to 1. Unanswered questions are absent.",
    ("review_events", "created_date"): "When the person answered, in UTC.",
    ("ranking_events", "created_date"): "When the person answered, in UTC; null if unknown.",
    ("ranking_events", "parent_id"): "The message whose replies are ranked.",
}


def meaning(form: str, column: str) -> str:
    """Return what a column means. Raise KeyError for an unknown one."""
    return ELSEWHERE.get((form, column)) or COLUMNS[column]
