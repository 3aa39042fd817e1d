"""Named settings of a user. The built-in ones are in inference/chats/presets.py."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from oasst.core.ids import uuid7


class Preset(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="chat_presets")
    name = models.CharField(max_length=100)
    sampling = models.JSONField(default=dict, help_text="See inference.engine.sampling.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="preset_name_once")]

    def __str__(self) -> str:
        return self.name
