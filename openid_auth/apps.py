"""The application ``openid_auth``."""

from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _


class OpenIDAuthConfig(AppConfig):
    name = "openid_auth"
    verbose_name = _("OpenID")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from openid_auth import checks

        checks.register()
        if apps.is_installed("django.contrib.admin"):
            from openid_auth import admin_login

            admin_login.install()
