"""What is otherwise than in the stock engines."""

from __future__ import annotations

import django
from django.db.backends.base.features import BaseDatabaseFeatures
from django.utils.functional import cached_property


class SharedFeatures(BaseDatabaseFeatures):
    """Tests of Django's own suite that are about something we deliberately do otherwise."""

    @cached_property
    def django_test_skips(self) -> dict[str, set[str]]:  # type: ignore[override]
        skips = {
            **super().django_test_skips,
            "NAME must be a store or a URI, so that a slip is found at once.": {
                "test_runner.tests.SetupDatabasesTests.test_destroy_test_db_restores_db_name",
            },
        }
        if django.VERSION >= (6, 0):  # which has this test
            skips[
                "create_test_db() makes Storm's tables too, in a method that calls Django's: that "
                "is the line which Django warns about, where serialize is given."
            ] = {"backends.base.test_creation.TestDbCreationTests.test_serialize_deprecation"}
        return skips
