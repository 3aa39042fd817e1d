"""Which models the site has offered, and since when."""

from django.db import models
from django.utils import timezone


class OfferedModel(models.Model):
    """Kept when a site goes on to another model: whoever comes back to one finds it as old as it is."""

    name = models.CharField(max_length=200, primary_key=True)
    since = models.DateTimeField(default=timezone.now, help_text="Of the first start with it.")

    def __str__(self) -> str:
        return self.name
