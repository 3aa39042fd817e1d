"""Simulated people who do the whole job with real texts: through the services, or through the pages over HTTP.

For `simulate_crowd`, `seed_demo` and the tests.
"""
