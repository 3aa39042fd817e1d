"""Simulated people who do the whole job with real texts: through the services, or through the pages over HTTP.

Stands above the apps, since it uses people, tasks and trees. For `simulate_crowd`, `seed_demo` and the tests.
"""
