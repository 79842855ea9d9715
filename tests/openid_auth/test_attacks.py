"""More attacks, over HTTP: each looks at the database and the session afterwards."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from typing import Any
from unittest import mock
from urllib.parse import urljoin, urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client, TestCase, override_settings
from django.urls import reverse
from openid.association import Association as SharedSecret
from openid.consumer.discover import OPENID_2_0_TYPE
from openid.message import OPENID2_NS

from openid_auth import signed_in
from openid_auth.fetcher import Fetcher, FetchError
from openid_auth.models import Association, Nonce, UserOpenID
from openid_auth.pending import SESSION_KEY
from openid_auth.store import DatabaseStore
from openid_auth.views import LoginView
from tests.openid_auth.provider import (
    PAPE_NS,
    PHYSICAL,
    SREG_NS,
    TEAMS_NS,
    ForgingTestCase,
    ProviderTestCase,
    isolated_settings,
    without_openid_settings,
)
from tests.openid_auth.test_fetcher import BadServer, answer

User = get_user_model()
SIGNED_IN = "_auth_user_id"


class ForgedSecretTests(ForgingTestCase):
    """Assertions signed with a secret that is not the one of the endpoint, or no longer."""

    def deliver_signed_with(self, secret: SharedSecret) -> tuple[Any, list[str]]:
        """Return the response, and what was fetched for it."""
        fields = self.fields(assoc_handle=secret.handle)
        self.secret = secret
        fetched: list[str] = []

        def fetch(fetcher: Fetcher, url: str, *args: object, **kwargs: object) -> None:
            fetched.append(url)
            raise FetchError("away")

        with mock.patch.object(Fetcher, "fetch", fetch):
            return self.deliver(self.sign(fields)), fetched

    def assert_useless(self, secret: SharedSecret) -> None:
        """The endpoint of the login is asked about the handle, and nobody is signed in."""
        response, fetched = self.deliver_signed_with(secret)
        self.assert_refused(response)
        self.assertEqual(fetched, [self.endpoint])
        self.assertFalse(User.objects.exists())
        self.assertFalse(Nonce.objects.exists())

    def test_the_association_of_another_endpoint_is_useless(self) -> None:
        foreign = SharedSecret.fromExpiresIn(3600, "foreign", b"f" * 32, "HMAC-SHA256")
        DatabaseStore().storeAssociation("http://evil.example/endpoint", foreign)
        self.assert_useless(foreign)

    def test_an_association_that_is_over_is_useless(self) -> None:
        over = SharedSecret("over", b"o" * 32, int(time.time()) - 7200, 3600, "HMAC-SHA256")
        DatabaseStore().storeAssociation(self.endpoint, over)
        self.assert_useless(over)

    def test_the_handle_of_another_endpoint_does_not_replace_ours(self) -> None:
        """An endpoint picks its handles itself, and may pick the one that another has."""
        forged = SharedSecret.fromExpiresIn(3600, "known", b"f" * 32, "HMAC-SHA256")
        DatabaseStore().storeAssociation("http://evil.example/endpoint", forged)
        response, fetched = self.deliver_signed_with(forged)
        self.assert_refused(response)
        self.assertEqual(fetched, [])
        self.assertFalse(User.objects.exists())

    def test_an_empty_secret_is_useless(self) -> None:
        self.assert_useless(SharedSecret.fromExpiresIn(3600, "empty", b"", "HMAC-SHA256"))


class ReturnToTests(ForgingTestCase):
    def test_arguments_more_or_less_are_refused(self) -> None:
        good = self.return_to()
        bare, _, query = good.partition("?")
        for changed in (
            f"{good}&next=//evil.example/",
            f"{bare}?next=/&{query}",
            bare,
            f"{good}#fragment",
            good.replace("http:", "https:"),
            good.replace("testserver", "testserver:80"),
            good.replace("testserver", "TESTSERVER"),
            good.replace("complete/", "login/../complete/"),
        ):
            with self.subTest(changed):
                parameters = self.sign(self.fields(return_to=changed))
                with self.no_fetch():
                    response = self.client.get(f"{reverse('openid-complete')}?{query}", parameters)
                self.assert_refused(response)
                self.assertFalse(User.objects.exists())

    def test_a_second_state_does_not_help(self) -> None:
        first, second = self.return_to(), self.return_to()
        parameters = self.sign(self.fields(return_to=first))
        states = [url.partition("state=")[2] for url in (first, second)]
        url = reverse("openid-complete")
        with self.no_fetch():
            self.assert_refused(self.client.get(url, {**parameters, "state": states}))
        self.assertFalse(User.objects.exists())

    def test_a_state_in_the_body_does_not_count(self) -> None:
        parameters = self.sign(self.fields())
        state = parameters["openid.return_to"].partition("state=")[2]
        with self.no_fetch():
            response = self.client.post(reverse("openid-complete"), {**parameters, "state": state})
        self.assert_refused(response)
        self.assertFalse(User.objects.exists())


class HostTests(ProviderTestCase):
    def test_a_foreign_host_begins_nothing(self) -> None:
        response = self.client.post(reverse("openid-login"), HTTP_HOST="evil.example")
        self.assertEqual(response.status_code, 400)
        self.assertNotIn(SESSION_KEY, self.client.session)

    def test_forwarded_hosts_are_not_believed(self) -> None:
        forwarded = {
            "HTTP_X_FORWARDED_HOST": "evil.example",
            "HTTP_X_FORWARDED_PROTO": "https",
            "HTTP_FORWARDED": "host=evil.example;proto=https",
        }
        response = self.client.post(reverse("openid-login"), **forwarded)
        self.assertNotIn("evil.example", response["Location"])
        (login,) = self.client.session[SESSION_KEY].values()
        self.assertTrue(login["return_to"].startswith("http://testserver/openid/complete/?state="))

    def test_next_is_for_this_host_only_even_if_another_is_allowed_too(self) -> None:
        with override_settings(ALLOWED_HOSTS=["testserver", "127.0.0.1", "other.example"]):
            self.begin(next="http://other.example/")
        (login,) = self.client.session[SESSION_KEY].values()
        self.assertEqual(login["next"], "")


class NextTests(ForgingTestCase):
    def test_strange_addresses_do_not_lead_out(self) -> None:
        for target in (
            "//evil.example\\@testserver/",
            "\uff0f\uff0fevil.example/",
            "/\r\nLocation: //evil.example/",
            "http://testserver:80@evil.example/",
            "http://testserver\x00.evil.example/",
            "http:evil.example",
            "HTTP://EVIL.EXAMPLE/",
            "ftp://testserver/",
            "http://[::ffff:1.2.3.4]/",
            "////evil.example",
            "/%09/evil.example",
            "https://testserver.",
        ):
            with self.subTest(target):
                location = self.sign_in(next=target)["Location"]
                self.assertRegex(location, r"^[/%](?![/\\])[!-~]*$")
                reached = urlsplit(urljoin("http://testserver/openid/complete/", location))
                self.assertEqual(reached[:2], ("http", "testserver"))
                self.client.logout()

    def test_an_allowed_host_is_not_allowed_for_scripts(self) -> None:
        with override_settings(ALLOWED_EXTERNAL_OPENID_REDIRECT_DOMAINS=["friend.example"]):
            for target in (
                "javascript://friend.example/%0aalert(1)",
                "data://friend.example/",
                "http://friend.example@evil.example/",
                "http://friend.example:8080/",
            ):
                with self.subTest(target):
                    self.assertEqual(self.sign_in(next=target)["Location"], "/")
                    self.client.logout()

    def test_a_huge_one_neither_fills_the_session_nor_breaks_the_login(self) -> None:
        response = self.sign_in(next="/" + "x" * 100_000)
        self.assertEqual(response["Location"], "/")
        self.begin(next="/" + "x" * 100_000)
        self.assertLess(len(str(self.client.session[SESSION_KEY])), 10_000)


class SessionTests(ForgingTestCase):
    def test_a_session_that_somebody_else_knows_is_not_the_one_signed_in(self) -> None:
        """Session fixation: the attacker began, and had the victim's browser take the cookie."""
        parameters = self.sign(self.fields())
        fixed = self.client.cookies["sessionid"].value
        self.assert_signs_in(self.deliver(parameters))
        self.assertEqual(self.whoami(), "openiduser")
        attacker = Client()
        attacker.cookies["sessionid"] = fixed
        self.assertEqual(self.whoami(attacker), "nobody")

    def test_what_the_one_before_had_in_the_session_is_gone(self) -> None:
        before = User.objects.create_user("before")
        self.client.force_login(before)
        session = self.client.session
        session["secret"] = "of the one before"
        session.save()
        self.assert_signs_in(self.deliver(self.sign(self.fields())))
        self.assertNotIn("secret", self.client.session)
        self.assertNotEqual(self.client.session[SIGNED_IN], str(before.pk))

    def test_logins_that_were_never_answered_do_not_pile_up(self) -> None:
        for _ in range(12):
            self.begin()
        self.assertLessEqual(len(self.client.session[SESSION_KEY]), 5)

    def test_a_login_begun_too_long_ago_is_refused(self) -> None:
        parameters = self.sign(self.fields())
        session = self.client.session
        for login in session[SESSION_KEY].values():
            login["started"] -= 3601
        session.save()
        with self.no_fetch():
            self.assert_refused(self.deliver(parameters))
        self.assertFalse(User.objects.exists())

    def test_a_page_that_repeats_a_form_repeats_no_markup(self) -> None:
        evil = '"><script>alert(1)</script>'
        response = Client().post(
            reverse("openid-complete") + "?state=x", {f"openid.{evil}": evil, evil: evil}
        )
        self.assertContains(response, "Continue")
        self.assertNotContains(response, "<script")
        self.assertContains(response, 'action="/openid/complete/?state=x"')


class IdentifierTests(ForgingTestCase):
    """Identifiers that look like somebody's, signed by the provider itself."""

    def test_no_other_spelling_is_the_same_person(self) -> None:
        user = User.objects.create_user("ada")
        mine = self.claimed_id()
        UserOpenID.objects.create(user=user, claimed_id=mine, display_id="ada")
        for spelling in (
            mine.replace("ada", "ADA"),
            mine.replace("ada", "%61da"),
            mine.replace("ada", "a\u0501a"),
            mine.replace("ada", "\uff41da"),
            mine.replace("/id/", "//id/"),
            mine.replace("/id/", "/id/x/../"),
            mine.replace("http:", "HTTP:"),
            mine.replace("127.0.0.1", "127.1"),
            mine.replace("//", "//ada@"),
            mine.rstrip("/"),
            mine + "%00",
            mine + " ",
            " " + mine,
        ):
            with self.subTest(spelling):
                fields = self.fields(claimed_id=spelling, identity=spelling)
                response = self.deliver(self.sign(fields))
                self.assert_refused(response)
                self.assertEqual(UserOpenID.objects.count(), 1)

    def test_a_fragment_is_another_person(self) -> None:
        """Section 11.5.1: a provider gives an address to somebody new with a new fragment."""
        user = User.objects.create_user("first")
        UserOpenID.objects.create(user=user, claimed_id=self.claimed_id(), display_id="ada")
        again = self.claimed_id() + "#2"
        self.assert_signs_in(self.deliver(self.sign(self.fields(claimed_id=again))))
        self.assertNotEqual(self.client.session[SIGNED_IN], str(user.pk))

    def test_the_local_identity_of_somebody_else_is_refused(self) -> None:
        fields = self.fields(identity=self.claimed_id("grace"))
        self.assert_refused(self.deliver(self.sign(fields)))
        self.assertFalse(User.objects.exists())


class UsernameTests(ForgingTestCase):
    def test_no_spelling_of_a_nickname_gives_the_account_of_somebody_else(self) -> None:
        admin = User.objects.create_superuser("admin", "admin@example.org")
        for number, nickname in enumerate(
            ("admin", "ADMIN", "\uff21\uff24\uff2d\uff29\uff2e", "admin ", "\tadmin", "admin\u200b",
             "admin\x00", "\u202enimda", "adm\u00adin", "admin\n", "admin@\u00e9", "\u2160admin")
        ):  # fmt: skip
            claimed_id = f"{self.claimed_id()}#{number}"
            with self.subTest(nickname):
                fields = self.fields(
                    claimed_id=claimed_id,
                    ns__sreg=SREG_NS,
                    sreg__nickname=nickname.replace("\n", "\x0b"),
                    sreg__email="admin@example.org",
                )
                self.assert_signs_in(self.deliver(self.sign(fields)))
                user = User.objects.get(pk=self.client.session[SIGNED_IN])
                self.assertNotEqual(user, admin)
                self.assertFalse(user.is_staff or user.is_superuser)
                self.assertNotEqual(user.username.lower(), "admin")
                self.assertRegex(user.username, r"^[\w.@+-]{1,150}$")
        self.assertFalse(UserOpenID.objects.filter(user=admin).exists())

    def test_a_rename_does_not_take_a_name_over_either(self) -> None:
        admin = User.objects.create_superuser("admin")
        self.deliver(self.sign(self.fields(ns__sreg=SREG_NS, sreg__nickname="ada")))
        fields = self.fields(ns__sreg=SREG_NS, sreg__nickname="Admin")
        with override_settings(OPENID_UPDATE_DETAILS_FROM_SREG=True, OPENID_FOLLOW_RENAMES=True):
            self.deliver(self.sign(fields))
        user = User.objects.get(pk=self.client.session[SIGNED_IN])
        self.assertNotEqual(user, admin)
        self.assertNotEqual(user.username.lower(), "admin")
        admin.refresh_from_db()
        self.assertEqual(admin.username, "admin")


class TeamTests(ForgingTestCase):
    ALMOST = (
        *("Drivers", " drivers", "drivers ", "driver", "xdrivers", "drivers;x", "drivers\tx"),
        *("drivers x", "x,DRIVERS", "dr\u0131vers", "\u0501rivers", "*", "%", "", ","),
    )

    def teams(self, value: str) -> dict[str, str]:
        return self.sign(self.fields(ns__lp=TEAMS_NS, lp__is_member=value))

    @override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=["drivers"])
    def test_almost_the_required_team_is_not_it(self) -> None:
        for value in self.ALMOST:
            with self.subTest(value):
                self.assert_refused(self.deliver(self.teams(value)), "drivers")
        self.assertFalse(User.objects.exists())

    @override_settings(
        OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO=True, OPENID_LAUNCHPAD_STAFF_TEAMS=["drivers"]
    )
    def test_almost_the_team_of_a_group_is_not_it(self) -> None:
        """Some databases take names for equal that differ in case, accents or blanks."""
        Group.objects.create(name="drivers")
        for value in self.ALMOST:
            with self.subTest(value):
                self.assert_signs_in(self.deliver(self.teams(value)))
                user = User.objects.get()
                self.assertFalse(user.groups.exists())
                self.assertFalse(user.is_staff)

    @override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=["a,b"])
    def test_a_comma_in_a_setting_does_not_make_two_teams_one(self) -> None:
        for value in ("a", "b", "a,b"):
            self.assert_refused(self.deliver(self.teams(value)))
        self.assertFalse(User.objects.exists())

    def test_a_second_factor_counts_only_from_who_is_trusted_for_it(self) -> None:
        provider = {"url": self.server.url, "label": "Home"}
        for trusted, status in ((["teams"], 403), (["multifactor"], 302)):
            with (
                self.subTest(trusted),
                override_settings(
                    OPENID_SSO_SERVER_URL=None,
                    OPENID_PROVIDERS={"home": {**provider, "trusted": trusted}},
                    OPENID_PHYSICAL_MULTIFACTOR_REQUIRED=True,
                ),
            ):
                self.begin(provider="home")
                login = list(self.client.session[SESSION_KEY].values())[-1]
                fields = self.fields(
                    return_to=login["return_to"], ns__pape=PAPE_NS, pape__auth_policies=PHYSICAL
                )
                self.assertEqual(self.deliver(self.sign(fields)).status_code, status)
                self.assertEqual(SIGNED_IN in self.client.session, status == 302)
                self.assertEqual(User.objects.exists(), status == 302)

    @override_settings(
        OPENID_LAUNCHPAD_TEAMS_REQUIRED=["drivers"],
        OPENID_EMAIL_WHITELIST_REGEXP_LIST=[r".*@example\.org", r"^ann@other\.example$"],
    )
    def test_almost_an_email_address_of_the_exceptions_is_not_one(self) -> None:
        for email in (
            "eve@example.org.evil.example",
            "eve@exampleXorg",
            "eve@evil.example\x00@example.org",
            "eve@evil.example,ann@example.org",
            "eve@evil.example ann@example.org",
            "eve@evil.example\u2028@example.org",
            "ANN@OTHER.EXAMPLE",
            "ann@other.example.",
            "ann@other.example\u0501",
            "ann@oth\u0435r.example",
            "@example.org",
            "<ann@example.org>",
        ):
            with self.subTest(email):
                fields = self.fields(ns__sreg=SREG_NS, sreg__email=email)
                self.assert_refused(self.deliver(self.sign(fields)), "drivers")
        self.assertFalse(User.objects.exists())


class DiscoveredPageTests(TestCase):
    """A visitor types the address of a page that is made to hurt."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.enterClassContext(without_openid_settings())
        cls.enterClassContext(
            isolated_settings(
                OPENID_SSO_SERVER_URL=None,
                OPENID_ALLOW_PRIVATE_NETWORKS=True,
                OPENID_CREATE_USERS=True,
            )
        )
        super().setUpClass()

    def server(self, behave: Any) -> BadServer:
        server = BadServer(behave)
        self.addCleanup(server.close)
        return server

    def begin(self, url: str) -> Any:
        return self.client.post(reverse("openid-login"), {"openid_identifier": url})

    def assert_not_begun(self, response: Any) -> None:
        self.assertContains(response, "No OpenID", status_code=400)
        self.assertNotIn(SESSION_KEY, self.client.session)

    def test_a_page_that_is_slow_to_parse_is_parsed_fast(self) -> None:
        """Patterns that look for an end from each beginning take the square of the length."""
        for piece in ("<!--", "<![CDATA[", "<script>", "<html ", "<link ", "<a b='", "<", "<?x"):
            page = ("<html><head>" + piece * 65536)[: 256 * 1024].encode()
            for kind in ("text/html", "application/xrds+xml", "text/html; charset=utf-16"):
                server = self.server(answer(f"200 OK\r\nContent-Type: {kind}", page))
                with self.subTest(piece, kind=kind):
                    begin = time.thread_time()
                    self.assert_not_begun(self.begin(server.url))
                    self.assertLess(time.thread_time() - begin, 1)

    def test_a_page_that_breaks_the_parser_breaks_nothing_else(self) -> None:
        for head in (
            "<meta http-equiv>",
            '<meta http-equiv="X-XRDS-Location">',
            '<meta http-equiv="X-XRDS-Location" content="&#99999999999999999999;">',
            '<meta http-equiv="X-XRDS-Location" content="&#xD800;">',
            '<meta http-equiv="X-XRDS-Location" content="http://[">',
            '<meta http-equiv="X-XRDS-Location" content="file:///etc/passwd">',
            '<link rel="openid2.provider">',
            '<link rel="openid2.provider" href="http://[">',
            '<link rel="openid2.provider" href="file:///etc/passwd">',
            '<link rel="openid2.provider" href="javascript:alert(1)">',
            "<![x",
            "\x00",
        ):
            page = f"<html><head>{head}</head></html>".encode()
            server = self.server(answer("200 OK\r\nContent-Type: text/html; charset=x-none", page))
            with self.subTest(head):
                self.assertEqual(self.begin(server.url).status_code, 400)
                self.assertNotIn(SESSION_KEY, self.client.session)

    def test_only_the_head_of_a_page_counts(self) -> None:
        """The body may be what a visitor of that page wrote."""
        link = '<link rel="openid2.provider" href="http://evil.example/">'
        for page in (
            f"<html><head></head><body>{link}</body></html>",
            f"<html><body>{link}",
            f"<html><head><title>{link}</title><!-- {link} --></head></html>",
            f"<html><head><script>{link}</script><style>{link}</style></head></html>",
        ):
            server = self.server(answer("200 OK\r\nContent-Type: text/html", page.encode()))
            with self.subTest(page):
                self.assert_not_begun(self.begin(server.url))

    def test_a_host_that_is_silent_holds_nobody_up(self) -> None:
        server = self.server(lambda connection: connection.recv(1))
        quick = Fetcher(private_networks=True, timeout=0.5)
        begin = time.monotonic()
        with mock.patch.object(LoginView, "get_fetcher", lambda view: quick):
            self.assert_not_begun(self.begin(server.url))
        self.assertLess(time.monotonic() - begin, 5)
        self.assertLessEqual(Fetcher().timeout, 10)

    def test_a_private_address_is_not_connected_to(self) -> None:
        server = self.server(answer("200 OK"))
        with override_settings(OPENID_ALLOW_PRIVATE_NETWORKS=False):
            for host in ("127.0.0.1", "localhost", "0x7f000001", "[::ffff:127.0.0.1]"):
                self.assert_not_begun(self.begin(f"http://{host}:{server.port}/"))
        self.assertEqual(server.requests, [])

    def test_nor_is_one_that_a_page_leads_to(self) -> None:
        inside = self.server(answer("200 OK"))
        target = f"http://127.0.0.2:{inside.port}/"
        with override_settings(OPENID_ALLOW_PRIVATE_NETWORKS=["127.0.0.1/32"]):
            for head in (
                f"302 Found\r\nLocation: {target}",
                f"200 OK\r\nX-XRDS-Location: {target}",
            ):
                self.assert_not_begun(self.begin(self.server(answer(head + target)).url))
            link = f'<html><head><link rel="openid2.provider" href="{target}"></head></html>'
            page = self.server(answer("200 OK\r\nContent-Type: text/html", link.encode()))
            self.begin(page.url)
        self.assertEqual(inside.requests, [])

    def test_a_secret_that_came_in_the_clear_is_not_kept(self) -> None:
        server = self.server(lambda connection: self.provide(server, connection))
        self.assertEqual(self.begin(server.url).status_code, 302)
        self.assertTrue(any(head.startswith(b"POST") for head in server.requests))
        self.assertFalse(Association.objects.exists())

    def provide(self, server: BadServer, connection: socket.socket) -> None:
        """Be a provider that gives its secret away."""
        if server.requests[-1].startswith(b"POST"):
            form = {
                "ns": OPENID2_NS,
                "assoc_type": "HMAC-SHA256",
                "session_type": "no-encryption",
                "assoc_handle": "clear",
                "expires_in": "3600",
                "mac_key": "c2VjcmV0" * 5 + "c2U=",
            }
            body = "".join(f"{name}:{value}\n" for name, value in form.items())
            answer("200 OK", body.encode())(connection)
        else:
            xrds = (
                '<xrds:XRDS xmlns:xrds="xri://$xrds" xmlns="xri://$xrd*($v*2.0)"><XRD><Service>'
                f"<Type>{OPENID_2_0_TYPE}</Type><URI>{server.url}</URI></Service></XRD></xrds:XRDS>"
            )
            answer("200 OK\r\nContent-Type: application/xrds+xml", xrds.encode())(connection)


REFRESH = "openid_auth.middleware.SessionRefreshMiddleware"


@override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, REFRESH])
class RefreshTests(ForgingTestCase):
    """Somebody who left a team keeps their groups by never opening a page."""

    def test_a_browser_that_never_says_it_opens_a_page_is_signed_out_in_the_end(self) -> None:
        for method, headers in (
            ("GET", {"HTTP_ACCEPT": "*/*"}),
            ("GET", {"HTTP_X_REQUESTED_WITH": "XMLHttpRequest", "HTTP_ACCEPT": "text/html"}),
            ("GET", {"HTTP_SEC_FETCH_MODE": "cors", "HTTP_ACCEPT": "text/html"}),
            ("HEAD", {"HTTP_ACCEPT": "text/html"}),
            ("POST", {"HTTP_ACCEPT": "text/html"}),
        ):
            with self.subTest(method, **headers):
                self.assert_signs_in(self.deliver(self.sign(self.fields())))
                self.grow_old(1000)
                self.client.generic(method, "/", **headers)
                self.assertIn(SIGNED_IN, self.client.session)
                self.grow_old(1000)
                response = self.client.generic(method, "/", **headers)
                self.assertEqual(response.content, b"" if method == "HEAD" else b"nobody")
                self.assertNotIn(SIGNED_IN, self.client.session)

    def grow_old(self, seconds: int) -> None:
        session = self.client.session
        known = signed_in.read(session)
        assert known is not None
        replace(known, checked=known.checked - seconds).save(session)
        session.save()
