"""Weeks of arrivals like those of the reference system, played through the real services under a virtual clock.

Stands above the apps, as `oasst.crowd` does. For `replay_arrivals` and the tests.
"""
