"""Weeks of arrivals like those of the reference system, played through the real services under a virtual clock.

For `replay_arrivals` and the tests.
"""
