"""A database of the size that the site is built for.

`fill` makes trees by the rules of `trees` and writes them with COPY. For `make_scale_data` and the tests.
"""
