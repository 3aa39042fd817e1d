"""The models that the site has offered."""

from django.db import models
from django.utils import timezone


class OfferedModel(models.Model):
    """The row stays when the site changes its model, so that a model keeps its age if it comes back."""

    name = models.CharField(max_length=200, primary_key=True)
    since = models.DateTimeField(default=timezone.now, help_text="Of the first start with it.")

    def __str__(self) -> str:
        return self.name
