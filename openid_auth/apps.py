"""The application ``openid_auth``."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OpenIDAuthConfig(AppConfig):
    name = "openid_auth"
    verbose_name = _("OpenID")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from openid_auth import checks

        checks.register()
