"""The Django app."""

from django.apps import AppConfig


class TxMiddlewareConfig(AppConfig):
    """Registers the checks, and sees to it that no transaction outlives a request."""

    name = "txmiddleware"
    verbose_name = "Transactions"

    def ready(self) -> None:
        from django.core.signals import request_finished, request_started
        from django.db import close_old_connections

        from txmiddleware import checks  # noqa: F401
        from txmiddleware.leftovers import abort_leftovers

        for signal in (request_started, request_finished):
            # First, since Django closes a connection whose transaction is open without a word.
            signal.disconnect(close_old_connections)
            signal.connect(abort_leftovers, dispatch_uid="txmiddleware.leftovers")
            signal.connect(close_old_connections)
