"""The site for ASGI servers: `example_site.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_site.settings_production")

application = get_asgi_application()
