"""The numbers of sessions and slots become references, with their rows."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import storm_django.fields


def refer(model, name, **options):
    """Make the integer `<name>_id` of *model* the reference *name*."""
    return [
        migrations.RenameField(model, f"{name}_id", name),
        migrations.AlterField(model, name, storm_django.fields.StormForeignKey(**options)),
    ]


SESSION = "example_site.sprints.programme.Session"
SLOT = "example_site.sprints.programme.Slot"
CASCADE = django.db.models.deletion.CASCADE


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("sprints", "0001_initial"),
    ]

    operations = [
        migrations.RemoveConstraint("attendance", "sprints_attendance_once_a_session"),
        migrations.RemoveConstraint("attendance", "sprints_attendance_once_a_slot"),
        *refer("attendance", "session", to=SESSION, on_delete=CASCADE, related_name="attendance"),
        *refer(
            "attendance",
            "slot",
            to=SLOT,
            on_delete=django.db.models.deletion.PROTECT,
            editable=False,
            null=True,
        ),
        *refer("comment", "session", to=SESSION, on_delete=CASCADE, related_name="comments"),
        migrations.AddConstraint(
            "attendance",
            models.UniqueConstraint(
                fields=("user", "session"), name="sprints_attendance_once_a_session"
            ),
        ),
        migrations.AddConstraint(
            "attendance",
            models.UniqueConstraint(fields=("user", "slot"), name="sprints_attendance_once_a_slot"),
        ),
    ]
