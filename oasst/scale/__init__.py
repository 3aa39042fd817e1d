"""A database of the size that the site is built for, and what the site costs on it.

`fill` makes trees by the rules of `trees` and writes them with COPY; `measure_*` are what `scripts/bench` runs. Stands
above the apps, since it uses people, trees and tasks. For `make_scale_data`, `measure` and the tests.
"""
