"""The policy of trees: how big they grow, how many people decide, which labels are asked.

The defaults are those of the reference system. A language may have rules of its own. Each tree copies its sizes when it
is made, so a new policy does not change running trees.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_type_hints

from django.utils.crypto import salted_hmac

from trees.labels import LABELS, LANG_MISMATCH, SPAM
from trees.lifecycle.consensus import MajorityRule, ReviewedMessage, ReviewRule, Skill, Vote, WeightedRule

LABELS_PROMPT = (
    SPAM,
    LANG_MISMATCH,
    "quality",
    "creativity",
    "humor",
    "toxicity",
    "violence",
    "not_appropriate",
    "pii",
    "hate_speech",
    "sexual_content",
)
LABELS_ASSISTANT = (
    SPAM,
    LANG_MISMATCH,
    "fails_task",
    "quality",
    "helpfulness",
    "creativity",
    "humor",
    "toxicity",
    "violence",
    "not_appropriate",
    "pii",
    "hate_speech",
    "sexual_content",
)

EVERY_LANGUAGE = ""
"""The key of the rules that hold in every language without a rule of its own."""
SAME_EVERYWHERE = frozenset(
    {
        *("check_share", "check_repeats", "gold_least_reviews", "gold_age_days", "repeat_age_days"),
        *("complaint_min_accepted", "complaint_least_age_days", "complaint_min_age_days", "complaint_most_open"),
        *("message_size_limit", "duplicate_window_minutes"),
    }
)
"""Rules about people, and limits that clients are told: no language has its own."""

CHECKS_ONE_IN = 15  # of the reviews that a person gives, at most so many are checks


@dataclass(frozen=True)
class TreePolicy:
    # Per language. These are upper bounds: tasks.supply asks for no more than the active users can do.
    max_active_trees: int = 10  # growing trees that the lottery fills up to
    max_initial_prompt_review: int = 100
    max_prompt_lottery_waiting: int = 250
    weeks_unfinished: float = 3  # limits the trees in progress to what users finish in that many weeks
    min_active_rankings: int = 3  # imported trees enter ranking while fewer are being ranked
    max_tree_depth: int = 3  # the root has depth 0
    max_children_count: int = 3
    num_prompter_replies: int = 1  # replies to one assistant message
    goal_tree_size: int = 12  # accepted messages, the root included
    num_reviews_initial_prompt: int = 3
    num_reviews_reply: int = 3
    acceptance_threshold_initial_prompt: float = 0.6
    acceptance_threshold_reply: float = 0.6
    # Weigh reviews by what is known of their authors, and stop when the outcome is sure enough (decision 0114). The
    # thresholds above then hold for no message, and the numbers of reviews only for `weighted_full_share`.
    weighted_reviews: bool = False
    weighted_accept_limit: float = 0.115  # the share of bad messages that may be accepted
    weighted_reject_limit: float = 0.09  # the share of good messages that may be rejected
    weighted_least_reviews: int = 1
    weighted_most_reviews: int = 5
    weighted_full_share: float = 0.05  # of messages get all reviews: how well people judge is learnt from these
    # What counts for people of whom too little is known. Alone they must not be able to decide.
    weighted_average_finds: float = 0.8  # how often they reject bad messages
    weighted_average_spares: float = 0.88  # how often they keep good ones
    # Now and then a review task is a check: a gold message, whose right verdict is known, or one that its person
    # reviewed long ago. The answers say how people review and touch no tree (decision 0117).
    check_share: float = 0.05  # the chance that a review task is one; they get at most one in fifteen in any case
    check_repeats: float = 0.3  # the chance that a check is a repeat
    check_least_pool: int = 50  # gold messages of a language and kind of review: with fewer there are no checks
    gold_least_reviews: int = 3  # messages about which so many reviewers agreed, and none did not, become gold
    gold_age_days: int = 90  # after their last review
    repeat_age_days: int = 90  # after the first review
    num_required_rankings: int = 3
    rank_prompter_replies: bool = False
    lonely_children_count: int = 2
    p_full_labeling_review_prompt: float = 1.0
    p_full_labeling_review_reply_assistant: float = 1.0
    p_full_labeling_review_reply_prompter: float = 0.25
    labels_initial_prompt: tuple[str, ...] = LABELS_PROMPT
    labels_prompter_reply: tuple[str, ...] = LABELS_PROMPT
    labels_assistant_reply: tuple[str, ...] = LABELS_ASSISTANT
    mandatory_labels: tuple[str, ...] = (SPAM,)
    # Complainants (trees.moderation.complaint_weights), not rows. At these numbers a removal is proposed to the
    # moderators, and the message stays hidden until they decide.
    auto_mod_red_flags: int = 4  # hides the message; a prompt's tree stops
    auto_mod_max_skip_reply: int = 25  # after so many skips the tree stops until a moderator decides
    # A complaint counts if its author has so many accepted messages and confirmed reviews (0: everybody counts) and an
    # account of at least one day, or one of them and an account of two weeks.
    complaint_min_accepted: int = 3
    complaint_least_age_days: int = 1
    complaint_min_age_days: int = 14
    complaint_most_open: int = 5  # messages that one complainant may help to hide before a moderator has decided
    message_size_limit: int = 2000  # code points
    duplicate_window_minutes: int = 120
    by_language: Mapping[str, "TreePolicy"] = field(default_factory=dict, hash=False, repr=False)
    """The whole policy of each language that has rules of its own; `in_language` reads it."""

    @classmethod
    def of(cls, rules: Mapping[str, Mapping[str, Any]]) -> "TreePolicy":
        """Return the policy with these rules, which are grouped by language; other rules keep their defaults.

        A rule of a language wins over that of EVERY_LANGUAGE. Raise ValueError for a rule that does not exist, that
        cannot hold, or that no language may have of its own; it names the language.
        """
        known = _with_rules(cls(), rules.get(EVERY_LANGUAGE, {}))
        languages = {}
        for language in sorted(rules.keys() - {EVERY_LANGUAGE}):
            try:
                if shared := sorted(SAME_EVERYWHERE & rules[language].keys()):
                    raise ValueError(f"{', '.join(shared)} must be the same in every language")
                languages[language] = _with_rules(known, rules[language])
            except ValueError as error:
                raise ValueError(f"{language}: {error}") from error
        return replace(known, by_language=languages)

    def in_language(self, language: str) -> "TreePolicy":
        """Return the policy of this language: what decides about a tree, its messages and the work in them."""
        return self.by_language.get(language, self)

    def __post_init__(self) -> None:
        if SPAM not in self.mandatory_labels:
            raise ValueError("mandatory_labels must have spam: acceptance is decided by it")
        for name in ("goal_tree_size", "max_children_count", "num_reviews_reply", "num_reviews_initial_prompt"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.weeks_unfinished <= 0:
            raise ValueError("weeks_unfinished must be more than 0: nothing could ever begin")
        for name in ("acceptance_threshold_initial_prompt", "acceptance_threshold_reply"):
            if not 0 <= getattr(self, name) < 1:
                # Outside this range every message or none would be accepted before anybody has read it.
                raise ValueError(f"{name} must be at least 0 and less than 1")
        self._check_labels()
        self._check_weights()
        self._check_checks()

    def _check_labels(self) -> None:
        for name in ("labels_initial_prompt", "labels_prompter_reply", "labels_assistant_reply"):
            asked = getattr(self, name)
            if unknown := [label for label in (*asked, *self.mandatory_labels) if label not in LABELS]:
                raise ValueError(f"{name}: there is no label {', '.join(unknown)}; there are {', '.join(LABELS)}")
            if missing := [label for label in self.mandatory_labels if label not in asked]:
                raise ValueError(f"{name} lacks {', '.join(missing)}, which is mandatory")
        if boxes := [label for label in self.mandatory_labels if LABELS[label].widget == "flag"]:
            # Pages ask by a box that stays empty for "no": nobody could send a review without ticking it.
            raise ValueError(f"{', '.join(boxes)} cannot be mandatory: that is a box to tick")

    def _check_checks(self) -> None:
        if not 0 <= self.check_share <= 1 / CHECKS_ONE_IN:
            raise ValueError(f"check_share must be from 0 to 1/{CHECKS_ONE_IN}: people come to help, not to be tested")
        if not 0 <= self.check_repeats <= 1:
            raise ValueError("check_repeats must be from 0 to 1")
        for name in ("check_least_pool", "gold_least_reviews", "gold_age_days", "repeat_age_days"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")

    def _check_weights(self) -> None:
        for name in ("accept_limit", "reject_limit", "average_finds", "average_spares"):
            if not 0 < getattr(self, f"weighted_{name}") < 1:
                raise ValueError(f"weighted_{name} must be more than 0 and less than 1")
        if self.weighted_average_finds + self.weighted_average_spares <= 1:
            # A rejection would speak for a message, and the messages that people reject would be accepted.
            raise ValueError("weighted_average_finds and weighted_average_spares must be more than 1 together")
        if not 0 <= self.weighted_full_share <= 1:
            raise ValueError("weighted_full_share must be from 0 to 1")
        if not 1 <= self.weighted_least_reviews <= self.weighted_most_reviews:
            raise ValueError("weighted_least_reviews must be at least 1 and at most weighted_most_reviews")
        alone = [self.weighted_rule.verdict([Vote(rejects)]) for rejects in (False, True)]
        if self.weighted_most_reviews > 1 and alone != [None, None]:
            # Anybody could decide about any message with a new account.
            raise ValueError("weighted_average_* or weighted_*_limit let a newcomer decide alone")

    @property
    def weighted_rule(self) -> WeightedRule:
        return WeightedRule(
            # Wald's bounds. The share of bad messages is not used: with it, few bad messages would mean that most of
            # them are accepted unread.
            accept_odds=self.weighted_accept_limit / (1 - self.weighted_reject_limit),
            reject_odds=(1 - self.weighted_accept_limit) / self.weighted_reject_limit,
            least=self.weighted_least_reviews,
            most=self.weighted_most_reviews,
            average=Skill(self.weighted_average_finds, self.weighted_average_spares),
        )

    @property
    def prompt_rule(self) -> ReviewRule:
        if self.weighted_reviews:
            return self.weighted_rule
        return MajorityRule(self.num_reviews_initial_prompt, self.acceptance_threshold_initial_prompt)

    @property
    def reply_rule(self) -> ReviewRule:
        if self.weighted_reviews:
            return self.weighted_rule
        return MajorityRule(self.num_reviews_reply, self.acceptance_threshold_reply)

    def review_rule(self, message: ReviewedMessage) -> ReviewRule:
        """Return the rule that decides about this message."""
        rule = self.prompt_rule if message.parent_id is None else self.reply_rule
        if isinstance(rule, WeightedRule) and self.gets_all_reviews(message):
            wanted = self.num_reviews_initial_prompt if message.parent_id is None else self.num_reviews_reply
            return replace(rule, least=max(rule.least, wanted), most=max(rule.most, wanted))
        return rule

    def gets_all_reviews(self, message: ReviewedMessage) -> bool:
        """Return True for the share of messages whose reviewing never stops early. A secret chooses by the id, so it is
        stable, and nobody who sees the id can tell.
        """
        digest = salted_hmac("trees.lifecycle.policy.gets_all_reviews", str(message.pk), algorithm="sha256").digest()
        return int.from_bytes(digest[:4]) < self.weighted_full_share * 2**32


def _with_rules(policy: TreePolicy, rules: Mapping[str, Any]) -> TreePolicy:
    """Return the policy with other rules. JSON has lists where the policy has tuples."""
    if unknown := sorted(rules.keys() - set(RULES)):
        raise ValueError(f"there is no rule {', '.join(unknown)}")
    return replace(policy, **{name: _typed(name, value) for name, value in rules.items()})


def _typed(name: str, value: Any) -> Any:
    """Return the value as the policy has it. Raise ValueError: a word where a number should be would fail only when
    somebody asks for a task.
    """
    kind = _TYPES[name]
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false")
        return value
    if kind in (int, float):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"{name} must be a number")
        if kind is int and value != int(value):
            raise ValueError(f"{name} must be a whole number")
        return int(value) if kind is int else value
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{name} must be a list of labels")
    return tuple(value)


RULES = tuple(one.name for one in fields(TreePolicy) if one.name != "by_language")
_TYPES = get_type_hints(TreePolicy)
