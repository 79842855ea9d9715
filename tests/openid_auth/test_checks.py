"""Each system check, provoked by the setting that it is about."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage
from django.test import SimpleTestCase, override_settings

from openid_auth.checks import BOOLEANS, STRING_LISTS, check_deployment, check_settings
from tests.openid_auth.provider import isolated_settings, without_openid_settings

GOOD_PROVIDER = {"url": "https://login.example.com/", "label": "Example", "trusted": ["teams"]}

CACHE_STORE = "openid_auth.cache_store.CacheStore"


def explode() -> None: ...


class CheckTests(SimpleTestCase):
    def setUp(self) -> None:
        self.enterContext(without_openid_settings())
        self.enterContext(isolated_settings())

    def found(self, deploy: bool = False, **settings: Any) -> list[CheckMessage]:
        with override_settings(**settings):
            return check_deployment() if deploy else check_settings()

    def assert_found(self, id_: str, setting: str, deploy: bool = False, **settings: Any) -> None:
        (message,) = self.found(deploy, **settings)
        self.assertEqual(message.id, f"openid_auth.{id_}")
        self.assertIn(setting, message.msg)
        self.assertTrue(message.hint)

    def test_nothing_to_say_without_settings(self) -> None:
        self.assertEqual(self.found(), [])
        self.assertEqual(self.found(deploy=True), [])

    def test_nothing_to_say_about_good_settings(self) -> None:
        good = {
            "OPENID_PROVIDERS": {"example": GOOD_PROVIDER},
            "OPENID_LAUNCHPAD_TEAMS_MAPPING": {"a": "b"},
            "OPENID_LAUNCHPAD_STAFF_TEAMS": ["a"],
            "OPENID_EMAIL_WHITELIST_REGEXP_LIST": [r"a@example\.org"],
            "OPENID_ALLOW_PRIVATE_NETWORKS": ["10.2.0.0/16"],
            "OPENID_VALID_VERIFICATION_SCHEMES": {None: (), "https://x.example/": ("email",)},
            "OPENID_TRUST_ROOT": "https://www.example.com/",
            "OPENID_RENDER_FAILURE": "tests.openid_auth.test_checks.explode",
        }
        self.assertEqual(self.found(**good), [])
        self.assertEqual(self.found(deploy=True, **good), [])

    def test_sso_server_url(self) -> None:
        for value in ("login.example.com", "ftp://x/", "http://[", 3, ""):
            with self.subTest(value):
                self.assert_found("E001", "OPENID_SSO_SERVER_URL", OPENID_SSO_SERVER_URL=value)

    def test_both_sso_and_providers(self) -> None:
        self.assert_found(
            "E002",
            "OPENID_PROVIDERS",
            OPENID_SSO_SERVER_URL="https://login.example.com/",
            OPENID_PROVIDERS={"example": GOOD_PROVIDER},
        )

    def test_providers_not_a_dict(self) -> None:
        self.assert_found("E003", "OPENID_PROVIDERS", OPENID_PROVIDERS=[GOOD_PROVIDER])

    def test_a_provider_without_url(self) -> None:
        for options in ({}, {"url": "x"}, "https://login.example.com/"):
            with self.subTest(options):
                self.assert_found("E004", "OPENID_PROVIDERS", OPENID_PROVIDERS={"a": options})

    def test_a_provider_trusted_for_something_unknown(self) -> None:
        for trusted in ("teams", ["everything"], True):
            provider = {**GOOD_PROVIDER, "trusted": trusted}
            with self.subTest(trusted):
                self.assert_found("E005", "OPENID_PROVIDERS", OPENID_PROVIDERS={"a": provider})

    def test_a_provider_with_an_unknown_key(self) -> None:
        provider = {**GOOD_PROVIDER, "trust": ["teams"]}
        self.assert_found("E006", "'trust'", OPENID_PROVIDERS={"a": provider})

    def test_what_is_not_true_or_false(self) -> None:
        self.assert_found("E007", "OPENID_CREATE_USERS", OPENID_CREATE_USERS="yes")

    def test_what_is_not_a_list(self) -> None:
        self.assert_found(
            "E008", "OPENID_LAUNCHPAD_TEAMS_REQUIRED", OPENID_LAUNCHPAD_TEAMS_REQUIRED="drivers"
        )

    def test_teams_mapping(self) -> None:
        for value in (["a"], {"a": 1}, {"a": ["b"]}):
            with self.subTest(value):
                self.assert_found("E009", "TEAMS_MAPPING", OPENID_LAUNCHPAD_TEAMS_MAPPING=value)

    def test_a_mapping_that_is_not_used(self) -> None:
        self.assert_found(
            "W001",
            "TEAMS_MAPPING_AUTO",
            OPENID_LAUNCHPAD_TEAMS_MAPPING={"a": "b"},
            OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO=True,
        )

    def test_whitelist(self) -> None:
        self.assert_found("E010", "'('", OPENID_EMAIL_WHITELIST_REGEXP_LIST=["("])

    def test_private_networks(self) -> None:
        for value in (["10.2.0.1/16"], ["x"], "10.2.0.0/16", [1]):
            with self.subTest(value):
                self.assert_found("E011", "PRIVATE_NETWORKS", OPENID_ALLOW_PRIVATE_NETWORKS=value)

    def test_verification_schemes(self) -> None:
        for value in (["a"], {"https://x.example/": "email"}):
            with self.subTest(value):
                self.assert_found("E012", "SCHEMES", OPENID_VALID_VERIFICATION_SCHEMES=value)

    def test_verification_schemes_of_anybody(self) -> None:
        self.assert_found("W002", "SCHEMES", OPENID_VALID_VERIFICATION_SCHEMES={None: ("email",)})

    def test_trust_root(self) -> None:
        self.assert_found("E013", "OPENID_TRUST_ROOT", OPENID_TRUST_ROOT="www.example.com")

    def test_render_failure(self) -> None:
        for value in ("no.such.function", "tests.openid_auth.test_checks.GOOD_PROVIDER", 3):
            with self.subTest(value):
                self.assert_found("E014", "RENDER_FAILURE", OPENID_RENDER_FAILURE=value)

    def test_no_backend(self) -> None:
        self.assert_found(
            "W003",
            "AUTHENTICATION_BACKENDS",
            AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.ModelBackend", "no.such"],
        )

    def test_a_backend_derived_from_ours_will_do(self) -> None:
        path = "tests.openid_auth.test_backends.CarefulBackend"
        self.assertEqual(self.found(AUTHENTICATION_BACKENDS=[path]), [])

    def test_a_strict_session_cookie(self) -> None:
        self.assert_found("W004", "SESSION_COOKIE_SAMESITE", SESSION_COOKIE_SAMESITE="Strict")

    def test_a_provider_over_plain_http(self) -> None:
        url = "http://login.example.com/"
        self.assert_found("W005", "SSO_SERVER_URL", deploy=True, OPENID_SSO_SERVER_URL=url)
        providers = {"a": {"url": url}}
        self.assert_found("W005", "PROVIDERS['a']", deploy=True, OPENID_PROVIDERS=providers)

    def test_private_networks_open_to_all(self) -> None:
        self.assert_found(
            "W006", "PRIVATE_NETWORKS", deploy=True, OPENID_ALLOW_PRIVATE_NETWORKS=True
        )

    def test_inames_that_cannot_be_allowed(self) -> None:
        self.assertEqual(self.found(OPENID_DISALLOW_INAMES=True), [])
        self.assert_found("W007", "OPENID_DISALLOW_INAMES", OPENID_DISALLOW_INAMES=False)

    def test_seconds(self) -> None:
        for value in (0, -1, "900", None, True, 1.5):
            with self.subTest(value):
                self.assert_found("E015", "OPENID_REFRESH_SECONDS", OPENID_REFRESH_SECONDS=value)
        self.assert_found("E015", "OPENID_DISCOVERY_SECONDS", OPENID_DISCOVERY_SECONDS=-1)
        self.assertEqual(self.found(OPENID_DISCOVERY_SECONDS=0), [])

    def test_store(self) -> None:
        for value in ("no.such.Store", "tests.openid_auth.test_checks.explode", 3):
            with self.subTest(value):
                self.assert_found("E016", "OPENID_STORE", OPENID_STORE=value)

    def test_a_cache_that_is_not_there(self) -> None:
        self.assert_found("E017", "OPENID_CACHE", OPENID_CACHE="shared")

    def test_nonces_in_a_cache_that_lets_them_in_twice(self) -> None:
        for backend in ("dummy.DummyCache", "filebased.FileBasedCache"):
            caches = {"default": {"BACKEND": f"django.core.cache.backends.{backend}"}}
            with self.subTest(backend):
                self.assertEqual(self.found(CACHES=caches), [])
                self.assert_found("E018", backend, CACHES=caches, OPENID_STORE=CACHE_STORE)

    def test_nonces_in_a_cache_of_one_process(self) -> None:
        self.assertEqual(self.found(OPENID_STORE=CACHE_STORE), [])
        self.assert_found("E019", "locmem", deploy=True, OPENID_STORE=CACHE_STORE)

    def test_nonces_in_a_cache_that_forgets(self) -> None:
        backend = "django.core.cache.backends.db.DatabaseCache"
        caches = {"default": {"BACKEND": backend, "LOCATION": "cache"}}
        self.assert_found(
            "W008", "DatabaseCache", deploy=True, CACHES=caches, OPENID_STORE=CACHE_STORE
        )

    def test_nonces_in_redis_are_well_kept(self) -> None:
        backend = "django.core.cache.backends.redis.RedisCache"
        caches = {"default": {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:6379"}}
        good = {"CACHES": caches, "OPENID_STORE": CACHE_STORE}
        self.assertEqual(self.found(**good), [])
        self.assertEqual(self.found(deploy=True, **good), [])

    def test_throttle(self) -> None:
        for value in (True, {"begun": 5}, {"begun": (5,)}, {"begun": (0, 60)}, {"begin": (5, 60)}):
            with self.subTest(value):
                self.assert_found("E020", "OPENID_THROTTLE", OPENID_THROTTLE=value)
        for good in ({}, {"begun": (5, 60)}, {"failed": [5, 60]}):
            self.assertEqual(self.found(OPENID_THROTTLE=good), [])

    def test_client_address(self) -> None:
        for value in ("no.such.function", 3):
            with self.subTest(value):
                self.assert_found("E021", "CLIENT_ADDRESS", OPENID_CLIENT_ADDRESS=value)

    def test_the_refresh_stands_below_authentication(self) -> None:
        refresh = "openid_auth.middleware.SessionRefreshMiddleware"
        authentication = "django.contrib.auth.middleware.AuthenticationMiddleware"
        for order in ([refresh, authentication], [refresh]):
            self.assert_found("E022", "SessionRefresh", MIDDLEWARE=order)
        self.assertEqual(self.found(MIDDLEWARE=[authentication, refresh]), [])

    def test_each_yes_or_no_is_looked_at(self) -> None:
        for name in BOOLEANS:
            with self.subTest(name):
                self.assert_found("E007", name, **{name: "False"})

    def test_each_list_is_looked_at(self) -> None:
        for name in STRING_LISTS:
            with self.subTest(name):
                self.assert_found("E008", name, **{name: "one"})
