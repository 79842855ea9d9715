"""The tests of Storm about something that we deliberately do otherwise, each with its reason."""

DIFFERENT: dict[str, str] = {}
