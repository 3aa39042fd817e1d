"""The approaches that `simulate_reviews` compares, and the bound that none can pass."""

from dataclasses import replace
from typing import Any

from oasst.simulation.reviewing.play import Approach
from trees.lifecycle.consensus import MajorityRule
from trees.lifecycle.policy import TreePolicy

AUC_90 = 1.8  # a model whose scores of good and bad texts are so many standard deviations apart has an AUC of 0.90


def approaches(policy: TreePolicy) -> list[Approach]:
    """Return fixed reviews, today's rule, and weighted reviews: of this policy, strict, with gold, with a model."""
    majority = MajorityRule(policy.num_reviews_reply, policy.acceptance_threshold_reply)
    strict = replace(policy, weighted_accept_limit=0.02, weighted_reject_limit=0.02)
    full = policy.weighted_full_share

    def weighted(name: str, rule_of: TreePolicy, **more: Any) -> Approach:
        return Approach(name, rule_of.weighted_rule, learns=True, full_share=full, **more)

    return [
        Approach(f"always {majority.wanted} reviews", majority, stops=False),
        Approach("stop when decided (today)", majority),
        weighted("weighted, limits of the policy", policy),
        weighted("weighted, limits of 2 %", strict),
        weighted("weighted, with gold messages", policy, gold_share=policy.check_share),
        weighted("weighted, with a model's prior", policy, model=AUC_90),
    ]
