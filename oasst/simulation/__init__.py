"""Simulated people and traffic, databases of full size, and measurements on them. Nothing else of the site imports it.

`crowd` takes trees from the first prompt to the data set, `replay` plays weeks of arrivals under a virtual clock,
`scale` fills a database, and `measuring` is what `scripts/bench` runs.
"""
