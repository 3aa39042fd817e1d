"""Blind comparisons of answers, and the boards of models that come of them. Decision 153."""
