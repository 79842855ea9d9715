"""One package's relying party, in a process of its own, for ``benchmarks.openid``.

It reads a JSON array from each line of its standard input, the name of a function here and its
arguments, and writes what that returns as a line of JSON.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import urllib.request
import warnings
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

COMMON_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
]
COMMON_MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
NONCE_URL = "http://op.example/endpoint"


def openid_auth(provider: str) -> dict[str, Any]:
    trusted = ("email", "username")
    return {
        "INSTALLED_APPS": ["openid_auth"],
        "AUTHENTICATION_BACKENDS": ["openid_auth.backends.OpenIDBackend"],
        "OPENID_PROVIDERS": {
            kind: {"url": f"{provider}/{kind}/", "label": kind, "trusted": trusted}
            for kind in ("op", "none")
        },
        "OPENID_ALLOW_PRIVATE_NETWORKS": True,
        "OPENID_CREATE_USERS": True,
        "OPENID_UPDATE_DETAILS_FROM_SREG": True,
        "OPENID_THROTTLE": {},
        "URLS": ("openid/", "openid_auth.urls"),
        "BEGIN": ("/openid/login/", "provider", "{kind}"),
    }


def social_core(provider: str) -> dict[str, Any]:
    return {
        "INSTALLED_APPS": ["social_django"],
        "AUTHENTICATION_BACKENDS": ["social_core.backends.open_id.OpenIdAuth"],
        "URLS": ("", "social_django.urls"),
        "BEGIN": ("/login/openid/", "openid_identifier", provider + "/{kind}/"),
    }


def allauth(provider: str) -> dict[str, Any]:
    return {
        "INSTALLED_APPS": [
            "allauth",
            "allauth.account",
            "allauth.socialaccount",
            "allauth.socialaccount.providers.openid",
        ],
        "MIDDLEWARE": ["allauth.account.middleware.AccountMiddleware"],
        "AUTHENTICATION_BACKENDS": ["allauth.account.auth_backends.AuthenticationBackend"],
        "ACCOUNT_EMAIL_VERIFICATION": "none",
        "ACCOUNT_RATE_LIMITS": False,
        "SOCIALACCOUNT_QUERY_EMAIL": True,
        "URLS": ("", "allauth.urls"),
        "BEGIN": ("/openid/login/", "openid", provider + "/{kind}/"),
    }


CONTENDERS = {"openid_auth": openid_auth, "social-core": social_core, "allauth": allauth}


class Form(HTMLParser):
    """The action of a page's form, and its hidden fields."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = values["action"]
        elif values.get("type") == "hidden":
            self.fields[values["name"]] = values["value"]


def destination(response: Any) -> str:
    """Return where a site sends the browser, as an address if it was a form."""
    if response.status_code == 302:
        return str(response["Location"])
    form = Form(response.content.decode())
    if response.status_code != 200 or "openid.mode" not in form.fields:
        raise RuntimeError(f"begin: {response.status_code} {response.content[:2000]!r}")
    return f"{form.action}?{urlencode(form.fields)}"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any) -> None:
        return None


class Contender:
    """A site with one of the packages."""

    def __init__(self, name: str, database: dict[str, Any], provider: str) -> None:
        settings = CONTENDERS[name](provider)
        self.provider = provider
        self.begin = settings.pop("BEGIN")
        self.configure(database, settings)
        self.users: Any = None

    def configure(self, database: dict[str, Any], settings: dict[str, Any]) -> None:
        import django
        from django.conf import settings as django_settings
        from django.core.management import call_command

        prefix, included = settings.pop("URLS")
        templates = {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                ]
            },
        }
        django_settings.configure(
            **{
                **settings,
                "INSTALLED_APPS": [*COMMON_APPS, *settings["INSTALLED_APPS"]],
                "MIDDLEWARE": [*COMMON_MIDDLEWARE, *settings.get("MIDDLEWARE", ())],
            },
            ALLOWED_HOSTS=["testserver"],
            DATABASES={"default": {**database, "CONN_MAX_AGE": None}},
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
            LOGIN_REDIRECT_URL="/in/",
            ROOT_URLCONF=__name__,
            SECRET_KEY="benchmark",
            TEMPLATES=[templates],
            USE_TZ=True,
        )
        django.setup()
        from django.urls import include, path

        globals()["urlpatterns"] = [path(prefix, include(included))]
        call_command("migrate", verbosity=0)

    def login(self, kind: str, name: str) -> dict[str, Any]:
        """Sign ``name`` in with a new browser: seconds, statements and fetches of our side."""
        from django.db import connection
        from django.test import Client

        browser = Client()
        fetched = self.fetched()
        statements: list[str] = []

        def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            statements.append(sql)
            return execute(sql, params, many, context)

        path, parameter, value = self.begin
        with connection.execute_wrapper(count):
            begin = time.perf_counter()
            response = browser.post(path, {parameter: value.format(kind=kind)})
            seconds = time.perf_counter() - begin
            answer = urlsplit(self.answer(destination(response), name))
            query = dict(parse_qsl(answer.query, keep_blank_values=True))
            begin = time.perf_counter()
            response = browser.get(answer.path, query)
            seconds += time.perf_counter() - begin
        if response.status_code != 302 or "_auth_user_id" not in browser.session:
            raise RuntimeError(f"callback: {response.status_code} {response.content[:2000]!r}")
        return {
            "seconds": seconds,
            "statements": len(statements),
            "fetches": self.fetched() - fetched,
            "sql": [sql[:160] for sql in statements],
        }

    def answer(self, url: str, name: str) -> str:
        """Be the browser at the provider."""
        try:
            urllib.request.build_opener(NoRedirect).open(f"{url}&name={name}")
        except urllib.error.HTTPError as error:
            location = error.headers["Location"]
            if location is not None:
                return str(location)
        raise RuntimeError(f"no redirect from {url}")

    def fetched(self) -> int:
        with urllib.request.urlopen(f"{self.provider}/count") as response:
            return int(response.read())

    def fill(self, count: int) -> None:
        """Put in ``count`` nonces that are out of time, by the database's own means."""
        from django.db import connection

        digits = "md5(n::text) || md5(n::text || 'x')"
        numbers = f"generate_series(1, {count:d}) AS n"
        if connection.vendor == "sqlite":
            digits = "printf('%064x', n)"
            series = f"SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {count:d}"
            numbers = f"(WITH RECURSIVE series(n) AS ({series}) SELECT n FROM series)"
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO openid_auth_nonce (server_url, timestamp, salt, nonce_digest)"
                f" SELECT '{NONCE_URL}', 1700000000 + n / 100, 'salt' || n, {digits} FROM {numbers}"
            )
            cursor.execute("ANALYZE")

    def use_nonces(self, count: int, prefix: str) -> float:
        """Return the seconds that ``count`` new nonces take, one transaction each."""
        from openid_auth.store import DatabaseStore

        store, now = DatabaseStore(), int(time.time())
        begin = time.perf_counter()
        for number in range(count):
            if not store.useNonce(NONCE_URL, now, f"{prefix}{number}"):
                raise RuntimeError("a new nonce was refused")
        return time.perf_counter() - begin

    def clean_up(self) -> list[float]:
        """Return the seconds of a cleanup, and how many nonces it forgot."""
        from openid_auth.store import DatabaseStore

        begin = time.perf_counter()
        count = DatabaseStore().cleanupNonces()
        return [time.perf_counter() - begin, count]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.modules["benchmarks.openid_contender"] = sys.modules["__main__"]
    __name__ = "benchmarks.openid_contender"
    contender = Contender(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3])
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(json.dumps(getattr(contender, command)(*arguments)), flush=True)
