"""What people do about sessions, as Django models. `session_id` is the id of a Storm `Session`."""

from django.conf import settings
from django.db import models


class Attendance(models.Model):
    """A person goes to a session. Whoever proposed it always does.

    `slot_id` repeats the session's slot, so that the database can refuse to have a person in two
    places at once; `scheduling` keeps it equal.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    session_id = models.IntegerField(db_index=True)
    slot_id = models.IntegerField(null=True, editable=False)

    class Meta:
        verbose_name_plural = "attendance"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "session_id"], name="sprints_attendance_once_a_session"
            ),
            models.UniqueConstraint(
                fields=["user", "slot_id"], name="sprints_attendance_once_a_slot"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} goes to session {self.session_id}"


class Comment(models.Model):
    """What a person said about a session."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    session_id = models.IntegerField(db_index=True)
    text = models.TextField(max_length=2000)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created", "pk"]

    def __str__(self) -> str:
        return f"{self.user} on session {self.session_id}"
