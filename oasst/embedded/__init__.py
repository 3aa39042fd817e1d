"""The servers that come with the site, PostgreSQL and Redis from their wheels, and the supervisor of `up`.

Nothing here needs Django, because the settings ask these modules where the servers listen.
"""
