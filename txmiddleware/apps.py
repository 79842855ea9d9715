"""The Django app."""

from django.apps import AppConfig


class TxMiddlewareConfig(AppConfig):
    """Registers the checks, and sees to it that no transaction outlives a request."""

    name = "txmiddleware"
    verbose_name = "Transactions"

    def ready(self) -> None:
        from django.core.signals import request_finished, request_started

        from txmiddleware import checks  # noqa: F401
        from txmiddleware.leftovers import abort_leftovers

        request_started.connect(abort_leftovers, dispatch_uid="txmiddleware.leftovers")
        request_finished.connect(abort_leftovers, dispatch_uid="txmiddleware.leftovers")
