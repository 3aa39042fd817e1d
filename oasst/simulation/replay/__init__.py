"""Weeks of arrivals like those of the reference system, played through the real services with a virtual clock."""
