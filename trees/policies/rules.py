"""What each rule of a policy means to the people who set it, and between which numbers it may be."""

from dataclasses import dataclass
from typing import Any, get_type_hints

from django.utils.translation import gettext_lazy as _

from trees.lifecycle.policy import RULES, SAME_EVERYWHERE, TreePolicy

GROUPS = {
    "growth": _("How conversations grow"),
    "reviews": _("Reviews and rankings"),
    "labels": _("Questions of a review"),
    "weighing": _("Weighing reviews"),
    "checks": _("Checks of reviewers"),
    "complaints": _("Complaints"),
    "texts": _("Texts"),
}
MOST = 1_000_000
"""No number may be larger: some become columns of 32 bits."""
_TYPES = get_type_hints(TreePolicy)
_DEFAULTS = TreePolicy()


@dataclass(frozen=True)
class Rule:
    """One rule: its name in `TreePolicy`, its group, what people read, and the least and most that it may be."""

    name: str
    group: str
    label: Any
    meaning: Any
    lowest: float = 0
    highest: float = MOST

    @property
    def type(self) -> Any:
        return _TYPES[self.name]

    @property
    def is_number(self) -> bool:
        return self.type in (int, float)

    @property
    def default(self) -> Any:
        return getattr(_DEFAULTS, self.name)

    @property
    def per_language(self) -> bool:
        """Return True if a language may have its own."""
        return self.name not in SAME_EVERYWHERE


_ALL = (
    Rule(
        "goal_tree_size",
        "growth",
        _("Size of a conversation"),
        _("Accepted messages, the prompt included, after which it stops growing."),
        1,
        10_000,
    ),
    Rule(
        "max_tree_depth",
        "growth",
        _("Depth"),
        _("How many messages may follow the prompt one below the other."),
        1,
        100,
    ),
    Rule(
        "max_children_count",
        "growth",
        _("Answers to one message"),
        _("At most so many different answers to the same prompt or follow-up."),
        1,
        100,
    ),
    Rule(
        "num_prompter_replies",
        "growth",
        _("Follow-ups to one answer"),
        _("At most so many different follow-ups to the same answer."),
        0,
        100,
    ),
    Rule(
        "lonely_children_count",
        "growth",
        _("Answers that are wanted first"),
        _("Messages with one answer, but fewer than this, are answered before others. 1 or less turns this off."),
        0,
        100,
    ),
    Rule(
        "max_active_trees",
        "growth",
        _("Growing conversations"),
        _("Of one language. Prompts are drawn until so many grow, fewer if people cannot finish them."),
    ),
    Rule(
        "max_initial_prompt_review",
        "growth",
        _("Prompts in review"),
        _("Of one language. While more wait for reviews, no new prompts are asked for because of them."),
    ),
    Rule(
        "max_prompt_lottery_waiting",
        "growth",
        _("Prompts waiting to be drawn"),
        _("Of one language. While so many wait, nobody is asked for a new prompt."),
    ),
    Rule(
        "weeks_unfinished",
        "growth",
        _("Weeks of work in progress"),
        _("Conversations in progress are limited to what people finish in so many weeks."),
        0.1,
        1_000,
    ),
    Rule(
        "num_reviews_initial_prompt",
        "reviews",
        _("Reviews of a prompt"),
        _("So many people review it before it is decided."),
        1,
        100,
    ),
    Rule(
        "num_reviews_reply",
        "reviews",
        _("Reviews of an answer or follow-up"),
        _("So many people review it before it is decided."),
        1,
        100,
    ),
    Rule(
        "acceptance_threshold_initial_prompt",
        "reviews",
        _("Share of votes for a prompt"),
        _("It is accepted if a larger share of its reviewers accepts it."),
        0,
        1,
    ),
    Rule(
        "acceptance_threshold_reply",
        "reviews",
        _("Share of votes for an answer or follow-up"),
        _("It is accepted if a larger share of its reviewers accepts it."),
        0,
        1,
    ),
    Rule(
        "num_required_rankings",
        "reviews",
        _("Rankings of the answers to one message"),
        _("So many people put them in order before the conversation is scored."),
        1,
        100,
    ),
    Rule(
        "rank_prompter_replies",
        "reviews",
        _("Follow-ups are ranked too"),
        _("Otherwise people put only answers in order."),
    ),
    Rule(
        "min_active_rankings",
        "reviews",
        _("Conversations being ranked"),
        _("Of one language. While fewer are, imported conversations enter ranking."),
    ),
    Rule(
        "p_full_labeling_review_prompt",
        "labels",
        _("Share of full reviews of prompts"),
        _("So many of the reviews ask all questions, the others only the necessary ones."),
        0,
        1,
    ),
    Rule(
        "p_full_labeling_review_reply_assistant",
        "labels",
        _("Share of full reviews of answers"),
        _("So many of the reviews ask all questions, the others only the necessary ones."),
        0,
        1,
    ),
    Rule(
        "p_full_labeling_review_reply_prompter",
        "labels",
        _("Share of full reviews of follow-ups"),
        _("So many of the reviews ask all questions, the others only the necessary ones."),
        0,
        1,
    ),
    Rule(
        "labels_initial_prompt",
        "labels",
        _("Questions about a prompt"),
        _("Names of labels, in the order in which people are asked."),
    ),
    Rule(
        "labels_assistant_reply",
        "labels",
        _("Questions about an answer"),
        _("Names of labels, in the order in which people are asked."),
    ),
    Rule(
        "labels_prompter_reply",
        "labels",
        _("Questions about a follow-up"),
        _("Names of labels, in the order in which people are asked."),
    ),
    Rule(
        "mandatory_labels",
        "labels",
        _("Necessary questions"),
        _("Every review asks these. One of them must be spam, which decides whether a message is accepted."),
    ),
    Rule(
        "weighted_reviews",
        "weighing",
        _("Reviews are weighed"),
        _("By what is known of their authors; a review stops when the outcome is sure enough."),
    ),
    Rule(
        "weighted_accept_limit",
        "weighing",
        _("Bad messages that may be accepted"),
        _("The share of bad messages at which the site may err."),
        0,
        1,
    ),
    Rule(
        "weighted_reject_limit",
        "weighing",
        _("Good messages that may not be accepted"),
        _("The share of good messages at which the site may err."),
        0,
        1,
    ),
    Rule(
        "weighted_least_reviews",
        "weighing",
        _("Fewest reviews"),
        _("No message is decided before so many people have reviewed it."),
        1,
        100,
    ),
    Rule(
        "weighted_most_reviews",
        "weighing",
        _("Most reviews"),
        _("Every message is decided after so many."),
        1,
        100,
    ),
    Rule(
        "weighted_full_share",
        "weighing",
        _("Share of messages with all reviews"),
        _("Reviewing them never stops early: from these the site learns how well people judge."),
        0,
        1,
    ),
    Rule(
        "weighted_average_finds",
        "weighing",
        _("Newcomers reject bad messages"),
        _("Assumed of people of whom too little is known: how often they reject a bad message."),
        0,
        1,
    ),
    Rule(
        "weighted_average_spares",
        "weighing",
        _("Newcomers keep good messages"),
        _("Assumed of people of whom too little is known: how often they keep a good message."),
        0,
        1,
    ),
    Rule(
        "check_share",
        "checks",
        _("Chance that a review is a check"),
        _("People get at most one in fifteen."),
        0,
        1,
    ),
    Rule(
        "check_repeats",
        "checks",
        _("Chance that a check is a repeat"),
        _("A message that the same person reviewed long ago. The other checks are gold messages."),
        0,
        1,
    ),
    Rule(
        "check_least_pool",
        "checks",
        _("Gold messages needed"),
        _("Of one language and kind of review. With fewer there are no checks."),
        1,
    ),
    Rule(
        "gold_least_reviews",
        "checks",
        _("Reviewers who must agree"),
        _("A message becomes gold if so many agreed about it and nobody disagreed."),
        1,
        100,
    ),
    Rule(
        "gold_age_days",
        "checks",
        _("Days until a message becomes gold"),
        _("After its last review."),
        1,
        10_000,
    ),
    Rule(
        "repeat_age_days",
        "checks",
        _("Days until a message is repeated"),
        _("After the person's first review of it."),
        1,
        10_000,
    ),
    Rule(
        "auto_mod_red_flags",
        "complaints",
        _("Flags that hide a message"),
        _("When so many people flagged it, it is hidden, and its conversation stops if it is the prompt."),
        1,
    ),
    Rule(
        "auto_mod_max_skip_reply",
        "complaints",
        _("Skips that stop a conversation"),
        _("When so many people skipped a message, its conversation stops until a moderator decides."),
        1,
    ),
    Rule(
        "complaint_min_accepted",
        "complaints",
        _("Accepted messages of those who complain"),
        _("Complaints count of people with so many accepted messages and confirmed reviews. 0: of everybody."),
    ),
    Rule(
        "complaint_least_age_days",
        "complaints",
        _("Days of membership, with accepted messages"),
        _("Complaints count of people whose account is at least so old."),
        0,
        10_000,
    ),
    Rule(
        "complaint_min_age_days",
        "complaints",
        _("Days of membership, with little accepted"),
        _("Complaints of people with only one accepted message count from this age of their account on."),
        0,
        10_000,
    ),
    Rule(
        "complaint_most_open",
        "complaints",
        _("Hidden messages of one person"),
        _("One person helps to hide at most so many before a moderator has decided."),
        1,
    ),
    Rule(
        "message_size_limit",
        "texts",
        _("Longest message"),
        _("In characters."),
        1,
        100_000,
    ),
    Rule(
        "duplicate_window_minutes",
        "texts",
        _("Minutes in which a text is taken only once"),
        _("The same text of the same person is refused when it comes again within this time."),
    ),
)
TABLE = {rule.name: rule for rule in _ALL}

assert set(TABLE) == set(RULES), set(TABLE) ^ set(RULES)
