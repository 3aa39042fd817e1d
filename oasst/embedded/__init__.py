"""The PostgreSQL and Redis that come with the site as wheels, and the supervisor of `up`.

All but `commands` works without Django, because the settings ask these modules where the servers listen.
"""
