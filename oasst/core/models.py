"""Tables of the core: answers that were given once and are given again."""

from django.db import models


class RepeatableWrite(models.Model):
    """The answer to a write that its sender may repeat (double click, lost connection).

    A table and not the cache, because the promise has to survive a Redis flush.
    """

    scope = models.CharField(max_length=100)
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    answer = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="repeatable_write_once")]
