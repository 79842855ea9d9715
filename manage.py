#!/usr/bin/env python3
"""Run a management command of the example site, or of its tests for ``manage.py test``."""

import os
import sys

if __name__ == "__main__":
    for_tests = sys.argv[1:2] == ["test"]
    os.environ.setdefault(
        "DJANGO_SETTINGS_MODULE", "tests.settings" if for_tests else "example_site.settings"
    )
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
