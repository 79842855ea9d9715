"""System checks of the settings. Each has an id and a hint; docs/openid.md lists them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, Warning
from django.utils.module_loading import import_string

from openid_auth import cache_checks
from openid_auth.providers import Claim

BOOLEANS = (
    "OPENID_SSO_SKIP_PAGE",
    "OPENID_ALLOW_TYPED_IDENTIFIER",
    "OPENID_CREATE_USERS",
    "OPENID_UPDATE_DETAILS_FROM_SREG",
    "OPENID_STRICT_USERNAMES",
    "OPENID_FOLLOW_RENAMES",
    "OPENID_USE_EMAIL_FOR_USERNAME",
    "OPENID_PHYSICAL_MULTIFACTOR_REQUIRED",
    "OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO",
    "OPENID_USE_AS_ADMIN_LOGIN",
    "OPENID_DISALLOW_INAMES",
)
STRING_LISTS = (
    "OPENID_SREG_REQUIRED_FIELDS",
    "OPENID_SREG_EXTRA_FIELDS",
    "OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO_BLACKLIST",
    "OPENID_LAUNCHPAD_TEAMS_REQUIRED",
    "OPENID_EMAIL_WHITELIST_REGEXP_LIST",
    "OPENID_LAUNCHPAD_STAFF_TEAMS",
    "ALLOWED_EXTERNAL_OPENID_REDIRECT_DOMAINS",
)
BACKEND = "openid_auth.backends.OpenIDBackend"


def register() -> None:
    """Register the checks with Django; the second kind runs with ``check --deploy`` only."""
    checks.register(check_settings, Tags.security)
    checks.register(check_deployment, Tags.security, deploy=True)


def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """Check what each setting holds, and that the backend is there."""
    found: list[CheckMessage] = []
    for check in CHECKS:
        found.extend(check())
    return found


def check_deployment(**_kwargs: Any) -> list[CheckMessage]:
    """Check what is right on a developer's machine only."""
    return [*_plain_http(), *_private_networks_open(), *cache_checks.shared_cache()]


def _setting(name: str, default: Any = None) -> Any:
    return getattr(settings, name, default)


def _is_url(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_strings(value: object) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) and all(
        isinstance(item, str) for item in value
    )


def _sso_server_url() -> Iterator[CheckMessage]:
    value = _setting("OPENID_SSO_SERVER_URL")
    if value is not None and not _is_url(value):
        yield Error(
            f"OPENID_SSO_SERVER_URL is {value!r}, which is not an http or https address.",
            hint='Write the address of the provider, such as "https://login.example.com/".',
            id="openid_auth.E001",
        )
    if value is not None and _setting("OPENID_PROVIDERS"):
        yield Error(
            "OPENID_SSO_SERVER_URL and OPENID_PROVIDERS are both set.",
            hint="Name the single sign-on server in OPENID_PROVIDERS with what it is trusted "
            "for, or remove OPENID_PROVIDERS.",
            id="openid_auth.E002",
        )


def _providers() -> Iterator[CheckMessage]:
    value = _setting("OPENID_PROVIDERS", {})
    if not isinstance(value, Mapping):
        yield Error(
            f"OPENID_PROVIDERS is a {type(value).__name__}, not a dict.",
            hint='Write {"example": {"url": "https://...", "label": "Example", "trusted": []}}.',
            id="openid_auth.E003",
        )
        return
    claims = sorted(claim.value for claim in Claim)
    for name, options in value.items():
        if not isinstance(options, Mapping) or not name or not _is_url(options.get("url")):
            yield Error(
                f"OPENID_PROVIDERS[{name!r}] has no url that is an http or https address.",
                hint='Give each provider a name and a "url", the address of the provider.',
                id="openid_auth.E004",
            )
            continue
        trusted = options.get("trusted", ())
        if not _is_strings(trusted) or not set(trusted) <= set(claims):
            yield Error(
                f"OPENID_PROVIDERS[{name!r}] is trusted for {trusted!r}.",
                hint=f'"trusted" is a list of some of these: {", ".join(claims)}.',
                id="openid_auth.E005",
            )
        unknown = set(options) - {"url", "label", "trusted", "icon"}
        if unknown:
            yield Error(
                f"OPENID_PROVIDERS[{name!r}] has unknown keys: {', '.join(map(repr, unknown))}.",
                hint='The keys are "url", "label", "trusted" and "icon".',
                id="openid_auth.E006",
            )


def _types() -> Iterator[CheckMessage]:
    for name in BOOLEANS:
        value = _setting(name, False)
        if not isinstance(value, bool):
            yield Error(
                f"{name} is {value!r}, not True or False.",
                hint="Write True or False, without quotes.",
                id="openid_auth.E007",
            )
    for name in STRING_LISTS:
        value = _setting(name)
        if value is not None and not _is_strings(value):
            yield Error(
                f"{name} is {value!r}, not a list of strings.",
                hint="Write a list, also for a single value.",
                id="openid_auth.E008",
            )


def _teams_mapping() -> Iterator[CheckMessage]:
    value = _setting("OPENID_LAUNCHPAD_TEAMS_MAPPING", {})
    if not isinstance(value, Mapping) or not all(
        isinstance(item, str) for pair in value.items() for item in pair
    ):
        yield Error(
            "OPENID_LAUNCHPAD_TEAMS_MAPPING is not a dict of strings.",
            hint='Write {"team of the provider": "group of this site"}.',
            id="openid_auth.E009",
        )
    elif value and _setting("OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO", False) is True:
        yield Warning(
            "OPENID_LAUNCHPAD_TEAMS_MAPPING is not used: "
            "OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO is True.",
            hint="Remove one of the two.",
            id="openid_auth.W001",
        )


def _whitelist() -> Iterator[CheckMessage]:
    value = _setting("OPENID_EMAIL_WHITELIST_REGEXP_LIST", ())
    for pattern in value if _is_strings(value) else ():
        try:
            re.compile(pattern)
        except re.error as error:
            yield Error(
                f"OPENID_EMAIL_WHITELIST_REGEXP_LIST holds {pattern!r}: {error}.",
                hint="Write a regular expression that matches whole addresses.",
                id="openid_auth.E010",
            )


def _private_networks() -> Iterator[CheckMessage]:
    value = _setting("OPENID_ALLOW_PRIVATE_NETWORKS", False)
    if isinstance(value, bool):
        return
    try:
        if not _is_strings(value):
            raise ValueError("not a list of strings")
        for network in value:
            ipaddress.ip_network(network)
    except ValueError as error:
        yield Error(
            f"OPENID_ALLOW_PRIVATE_NETWORKS is {value!r}: {error}.",
            hint='Write True, False, or a list of networks such as ["10.2.0.0/16"].',
            id="openid_auth.E011",
        )


def _verification_schemes() -> Iterator[CheckMessage]:
    value = _setting("OPENID_VALID_VERIFICATION_SCHEMES", {})
    if not isinstance(value, Mapping) or not all(_is_strings(found) for found in value.values()):
        yield Error(
            "OPENID_VALID_VERIFICATION_SCHEMES is not a dict of lists of strings.",
            hint='Write {None: (), "https://login.example.com/openid": ("token_via_email",)}.',
            id="openid_auth.E012",
        )
    elif value.get(None):
        yield Warning(
            "OPENID_VALID_VERIFICATION_SCHEMES accepts schemes from providers it does not name.",
            hint="Name their endpoints, and leave the list under None empty.",
            id="openid_auth.W002",
        )


def _inames() -> Iterator[CheckMessage]:
    if _setting("OPENID_DISALLOW_INAMES") is False:
        yield Warning(
            "OPENID_DISALLOW_INAMES is False, but i-names are refused: the service that resolved "
            "them is gone.",
            hint="Remove the setting.",
            id="openid_auth.W007",
        )


def _trust_root() -> Iterator[CheckMessage]:
    value = _setting("OPENID_TRUST_ROOT")
    if value is not None and not _is_url(value):
        yield Error(
            f"OPENID_TRUST_ROOT is {value!r}, which is not an http or https address.",
            hint='Write the root of the site, such as "https://www.example.com/".',
            id="openid_auth.E013",
        )


def _render_failure() -> Iterator[CheckMessage]:
    value = _setting("OPENID_RENDER_FAILURE")
    try:
        found = import_string(value) if isinstance(value, str) else value
    except ImportError as error:
        found, problem = False, str(error)
    else:
        problem = "it cannot be called"
    if found is not None and not callable(found):
        yield Error(
            f"OPENID_RENDER_FAILURE is {value!r}: {problem}.",
            hint="Write a function, or the dotted path of one, that takes (request, message, "
            "status, template_name, exception) and returns a response.",
            id="openid_auth.E014",
        )


def _backend() -> Iterator[CheckMessage]:
    for path in settings.AUTHENTICATION_BACKENDS:
        if path == BACKEND:
            return
        try:
            backend = import_string(path)
        except ImportError:
            continue
        from openid_auth.backends import OpenIDBackend

        if isinstance(backend, type) and issubclass(backend, OpenIDBackend):
            return
    yield Warning(
        f"AUTHENTICATION_BACKENDS does not name {BACKEND}, so nobody can sign in with OpenID.",
        hint=f'Add "{BACKEND}", or a class of yours that is derived from it.',
        id="openid_auth.W003",
    )


def _session_cookie() -> Iterator[CheckMessage]:
    if settings.SESSION_COOKIE_SAMESITE == "Strict":
        yield Warning(
            'SESSION_COOKIE_SAMESITE is "Strict": a browser that comes back from the provider '
            "does not send the session, and the login is refused.",
            hint='Set it to "Lax".',
            id="openid_auth.W004",
        )


def _plain_http() -> Iterator[CheckMessage]:
    urls = {"OPENID_SSO_SERVER_URL": _setting("OPENID_SSO_SERVER_URL")}
    providers = _setting("OPENID_PROVIDERS", {})
    if isinstance(providers, Mapping):
        for name, options in providers.items():
            if isinstance(options, Mapping):
                urls[f"OPENID_PROVIDERS[{name!r}]"] = options.get("url")
    for where, url in urls.items():
        if isinstance(url, str) and url.startswith("http://"):
            yield Warning(
                f"{where} is {url}: over plain http anybody on the way can sign in as anybody.",
                hint="Use the provider's https address.",
                id="openid_auth.W005",
            )


def _private_networks_open() -> Iterator[CheckMessage]:
    if _setting("OPENID_ALLOW_PRIVATE_NETWORKS", False) is True:
        yield Warning(
            "OPENID_ALLOW_PRIVATE_NETWORKS is True: a visitor can make the site fetch from the "
            "machines around it.",
            hint='Set it to False, or to the networks of your providers: ["10.2.0.0/16"].',
            id="openid_auth.W006",
        )


CHECKS: tuple[Callable[[], Iterator[CheckMessage]], ...] = (
    _sso_server_url,
    _providers,
    _types,
    _teams_mapping,
    _whitelist,
    _private_networks,
    _verification_schemes,
    _inames,
    _trust_root,
    _render_failure,
    _backend,
    _session_cookie,
    *cache_checks.CHECKS,
)
