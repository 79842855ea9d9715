"""The tests of the three packages and of the example site."""

import sys
import unittest
from contextlib import AbstractContextManager
from typing import Any

if sys.version_info < (3, 11):
    # unittest.TestCase has these two from Python 3.11 on.

    def enter_context(self: unittest.TestCase, context: AbstractContextManager[Any]) -> Any:
        found = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return found

    def enter_class_context(
        cls: type[unittest.TestCase], context: AbstractContextManager[Any]
    ) -> Any:
        found = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        return found

    unittest.TestCase.enterContext = enter_context
    unittest.TestCase.enterClassContext = classmethod(enter_class_context)
