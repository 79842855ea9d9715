"""Settings of the example site: for a developer's machine unless DEBUG=0 is in the environment."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("DEBUG", "1").lower() not in {"", "0", "false", "no", "off"}
SECRET_KEY = "django-insecure-for-the-demonstration-only"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]

# One database, two object mappers: Storm opens the connection, Django borrows it.
STORM_STORES = {
    "main": {
        "URI": os.environ.get("STORE_URI", f"sqlite:{BASE_DIR / 'demo.sqlite3'}"),
        "SCHEMA": "example_site.sprints.schema.schema",
    }
}
DATABASES = {"default": {"ENGINE": "storm_django.backend", "NAME": "main"}}
# Without an isolation level in STORE_URI it is Storm's, at which a request that raced with another
# is handled again.
SILENCED_SYSTEM_CHECKS = ["storm_django.W024"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "storm_django",
    "txmiddleware",
    "openid_auth",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "example_site.sprints",  # after auth, whose permissions it gives to a group
]
if DEBUG:
    INSTALLED_APPS += ["example_site.provider"]

MIDDLEWARE = [
    "txmiddleware.middleware.TransactionMiddleware",
    "example_site.csp.ContentSecurityPolicyMiddleware",
    # Before anything that redirects: a provider that asks for the realm may not follow.
    "openid_auth.middleware.RealmDiscoveryMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "openid_auth.middleware.SessionRefreshMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "example_site.sprints.halfway.HalfwayFailureMiddleware",
]

# Signing in: everybody comes through one OpenID provider, and its teams become groups.
AUTHENTICATION_BACKENDS = [
    "openid_auth.backends.OpenIDBackend",
    "django.contrib.auth.backends.ModelBackend",
]
LOGIN_URL = "openid-login"
LOGIN_REDIRECT_URL = "schedule"
LOGOUT_REDIRECT_URL = "schedule"
OPENID_SSO_SERVER_URL = os.environ.get("PROVIDER_URL", "http://127.0.0.1:8001/openid/")
OPENID_CREATE_USERS = True
OPENID_UPDATE_DETAILS_FROM_SREG = True
OPENID_LAUNCHPAD_TEAMS_MAPPING = {
    "summit-drivers": "summit-drivers",
    "summit-volunteers": "summit-volunteers",
}
# They may see the admin; what they may do there is a matter of their group's permissions.
OPENID_LAUNCHPAD_STAFF_TEAMS = ("summit-drivers",)
# The development provider listens on loopback, which openid_auth otherwise never asks.
OPENID_ALLOW_PRIVATE_NETWORKS = DEBUG

# The "Propose, then fail halfway" button, and the page that shows that nothing was kept.
SPRINTS_HALFWAY_BUTTON = DEBUG

ROOT_URLCONF = "example_site.urls"
WSGI_APPLICATION = "example_site.wsgi.application"
ASGI_APPLICATION = "example_site.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "example_site" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "example_site" / "static"]

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "Europe/Brussels"
USE_TZ = True
