"""The same site as one would run it: `python manage.py check --deploy` has nothing to say about it.

From the environment: STORE_URI, ALLOWED_HOSTS (separated by commas), PROVIDER_URL, and SECRET_KEY
or SECRET_KEY_FILE (a file that is made, readable by its owner only, when it is not there).
"""

import os
from pathlib import Path

from example_site.secret_key import secret_key_from_file
from example_site.settings import *  # noqa: F403 - a settings module starts from another
from example_site.settings import BASE_DIR, INSTALLED_APPS

DEBUG = False
SECRET_KEY = os.environ.get("SECRET_KEY") or secret_key_from_file(
    Path(os.environ.get("SECRET_KEY_FILE", BASE_DIR / ".secret_key"))
)
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "summit.example.org").split(",")

INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "example_site.provider"]
OPENID_SSO_SERVER_URL = os.environ.get("PROVIDER_URL", "https://login.ubuntu.com/")
OPENID_ALLOW_PRIVATE_NETWORKS = False
SPRINTS_HALFWAY_BUTTON = False

SECURE_SSL_REDIRECT = True
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True

# `manage.py collectstatic` fills STATIC_ROOT, which the web server publishes.
STATIC_ROOT = BASE_DIR / "collected_static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
