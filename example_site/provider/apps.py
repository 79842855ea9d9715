"""The application of the development provider."""

from django.apps import AppConfig
from django.conf import settings
from django.core import checks


class ProviderConfig(AppConfig):
    name = "example_site.provider"
    label = "provider"
    verbose_name = "Development OpenID provider"
    # As the settings module has it: the test runner turns DEBUG off afterwards.
    debug = False

    def ready(self) -> None:
        from example_site.provider.checks import check_debug

        self.debug = settings.DEBUG
        checks.register(check_debug, checks.Tags.security)
