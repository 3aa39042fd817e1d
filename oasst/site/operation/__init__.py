"""Operators' pages: the health of the site at one look, its jobs and when they run, and what waits for a worker."""
