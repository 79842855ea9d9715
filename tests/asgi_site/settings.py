"""Settings of the site."""

import os

STORM_STORES = {"main": os.environ["ASGI_STORE_URI"]}
DATABASES = {
    "default": {
        "ENGINE": "storm_django.backend",
        "NAME": "main",
        "CONN_MAX_AGE": {"0": 0, "None": None}[os.environ["ASGI_CONN_MAX_AGE"]],
    }
}
INSTALLED_APPS = ["storm_django", "txmiddleware"]
MIDDLEWARE = ["txmiddleware.middleware.TransactionMiddleware"]
ROOT_URLCONF = "tests.asgi_site.urls"
ALLOWED_HOSTS = ["127.0.0.1"]
SECRET_KEY = "for the tests"
USE_TZ = True
