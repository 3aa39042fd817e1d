"""The start page of the admin: what waits, how long, how it went, and what needs a look."""
