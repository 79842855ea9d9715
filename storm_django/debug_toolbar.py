"""A panel of django-debug-toolbar that tells Storm's statements from Django's.

The toolbar's own SQL panel shows both too, without the mark.
"""

from __future__ import annotations

from typing import Any

from debug_toolbar.panels import sql
from django.db import connections


class SQLPanel(sql.SQLPanel):
    """The SQL panel, with ``/* Storm */`` in front of each statement of Storm's."""

    def record(self, **kwargs: Any) -> None:
        if vars(connections[kwargs["alias"]]).get("issued_by_storm"):
            kwargs["sql"] = f"/* Storm */ {kwargs['sql']}"
        super().record(**kwargs)  # type: ignore[no-untyped-call]
