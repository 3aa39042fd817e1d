"""The workshop: simulated people and traffic, databases of full size, and what the site costs on them.

`crowd` takes trees from the first prompt to the data set, `replay` plays weeks of arrivals under a virtual clock,
`scale` fills a database, `measuring` is what `scripts/bench` runs. Nothing else of the site imports it.
"""
