"""What is otherwise than in the stock engines."""

from __future__ import annotations

from django.db.backends.base.features import BaseDatabaseFeatures
from django.utils.functional import cached_property


class SharedFeatures(BaseDatabaseFeatures):
    """Tests of Django's own suite that are about something we deliberately do otherwise."""

    @cached_property
    def django_test_skips(self) -> dict[str, set[str]]:  # type: ignore[override]
        return {
            **super().django_test_skips,
            "NAME must be a store or a URI, so that a slip is found at once.": {
                "test_runner.tests.SetupDatabasesTests.test_destroy_test_db_restores_db_name",
            },
        }
