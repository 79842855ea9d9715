"""One Zope transaction around each request, across every resource that joins it.

The public API is imported from here. Nothing of Storm or of an application is needed.
"""

from txmiddleware.decorators import commit_on_success, require_managed
from txmiddleware.hooks import on_abort, on_commit
from txmiddleware.retry import attempts
from txmiddleware.thread import is_managed

__all__ = [
    "attempts",
    "commit_on_success",
    "is_managed",
    "on_abort",
    "on_commit",
    "require_managed",
]
