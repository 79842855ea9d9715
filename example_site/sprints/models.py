"""What people do about sessions: Django models that refer to Storm's."""

from typing import Any

from django.conf import settings
from django.db import models
from django.dispatch import receiver

from example_site.sprints.programme import Session, Slot
from storm_django.fields import StormForeignKey
from storm_django.signals import saved


class Attendance(models.Model):
    """A person goes to a session. Whoever proposed it always does.

    `slot` repeats the session's, so that the database can refuse to have a person in two places
    at once.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    session = StormForeignKey(Session, on_delete=models.CASCADE, related_name="attendance")
    slot = StormForeignKey(Slot, on_delete=models.PROTECT, null=True, editable=False)

    class Meta:
        verbose_name_plural = "attendance"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "session"], name="sprints_attendance_once_a_session"
            ),
            models.UniqueConstraint(fields=["user", "slot"], name="sprints_attendance_once_a_slot"),
        ]

    def __str__(self) -> str:
        return f"{self.user} goes to {self.session}"


class Comment(models.Model):
    """What a person said about a session."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    session = StormForeignKey(Session, on_delete=models.CASCADE, related_name="comments")
    text = models.TextField(max_length=2000)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created", "pk"]

    def __str__(self) -> str:
        return f"{self.user} on {self.session}"


@receiver(saved, sender=Session)
def keep_attendance(instance: Session, created: bool, **kwargs: Any) -> None:
    """Have whoever proposed a session attend it, and everybody be where it is.

    It is the same whether a page or the admin wrote the session.
    """
    if created:
        instance.attendance.create(user=instance.proposer, slot=instance.slot)
    else:
        instance.attendance.update(slot=instance.slot)
