"""Trainings as rows: asking for one, doing it under a lease, watching and stopping it."""
