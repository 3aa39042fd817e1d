"""Simulated reviewers who judge simulated texts, to compare rules for how many reviews decide. No database."""
