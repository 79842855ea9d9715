"""Mutated assertions on the callback: none signs in who should not, crashes, or makes a fetch.

FUZZ_ASSERTIONS is how many there are (1000), FUZZ_SEED which ones (1).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import random
import re
import string
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, parse_qsl, quote, quote_plus, urlencode, urlsplit

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.test import Client, TestCase, override_settings, tag
from django.urls import reverse
from openid.association import Association
from openid.fetchers import HTTPResponse
from openid.message import OPENID2_NS
from openid.store.nonce import mkNonce

from openid_auth import pending
from openid_auth.fetcher import Fetcher, FetchError
from openid_auth.models import UserOpenID
from openid_auth.providers import SSO
from openid_auth.store import DatabaseStore
from tests.openid_auth.provider import (
    AX_NS,
    PAPE_NS,
    SREG_NS,
    TEAMS_NS,
    isolated_settings,
    without_openid_settings,
)

User = get_user_model()

COUNT = int(os.environ.get("FUZZ_ASSERTIONS", "1000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))

PROVIDER = "http://op.example/"
ENDPOINT = "http://op.example/endpoint"
EVIL_ENDPOINT = "http://evil.example/endpoint"
ADA = "http://op.example/id/ada"
ROOT = "http://other.example/id/root"  # of another provider, and linked to a superuser here
RETURN_TO = "http://testserver/openid/complete/?state=s"
XRDS = (
    '<xrds:XRDS xmlns:xrds="xri://$xrds" xmlns="xri://$xrd*($v*2.0)"><XRD><Service>'
    "<Type>http://specs.openid.net/auth/2.0/signon</Type><URI>{}</URI></Service></XRD></xrds:XRDS>"
)
PAGES = {ADA: XRDS.format(ENDPOINT), ROOT: XRDS.format("http://other.example/endpoint")}

KNOWN = Association.fromExpiresIn(10**6, "known", b"k" * 32, "HMAC-SHA256")
# Secrets that somebody else has: of another endpoint, one that is over, and none of ours.
FOREIGN = Association.fromExpiresIn(10**6, "foreign", b"f" * 32, "HMAC-SHA256")
EXPIRED = Association("expired", b"e" * 32, int(time.time()) - 10**6, 3600, "HMAC-SHA256")
STRANGE = Association.fromExpiresIn(10**6, "strange", b"x" * 20, "HMAC-SHA1")
MUST_BE_SIGNED = {"op_endpoint", "return_to", "response_nonce", "assoc_handle", "claimed_id",
                  "identity"}  # fmt: skip

Pairs = list[tuple[str, str]]


def signature(secret: Association, fields: dict[str, str]) -> str:
    """Section 6.1, written down once more: not the library's, which is what is being tested."""
    names = fields.get("signed", "").split(",")
    token = "".join(f"{name}:{fields.get(name, '')}\n" for name in names)
    algorithm = hashlib.sha1 if secret.assoc_type == "HMAC-SHA1" else hashlib.sha256
    mac = hmac.new(secret.secret, token.encode("utf-8", "surrogatepass"), algorithm)
    return base64.b64encode(mac.digest()).decode()


def read_as_django_does(encoded: bytes) -> Pairs:
    """The parameters in a query string or form: UTF-8, or Latin-1 where it is not."""
    try:
        text = encoded.decode()
    except UnicodeDecodeError:
        text = encoded.decode("latin-1")
    return parse_qsl(text, keep_blank_values=True)


class Mutator:
    """Makes messages out of one that is good."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.sent: list[Pairs] = []

    def choice(self, values: Any) -> Any:
        return self.random.choice(list(values))

    def fields(self) -> dict[str, str]:
        return {
            "ns": OPENID2_NS,
            "mode": "id_res",
            "op_endpoint": ENDPOINT,
            "claimed_id": ADA,
            "identity": ADA,
            "return_to": RETURN_TO,
            "response_nonce": mkNonce() + f"{self.random.getrandbits(64):x}",
            "assoc_handle": "known",
            "ns.sreg": SREG_NS,
            "sreg.email": "ada@example.org",
            "sreg.nickname": "ada",
            "ns.lp": TEAMS_NS,
            "lp.is_member": "readers",
        }

    # Before signing: a provider that makes mistakes, or is not the one that was asked.

    def drop(self, fields: dict[str, str]) -> None:
        fields.pop(self.choice(fields), None)

    def rename(self, fields: dict[str, str]) -> None:
        name = self.choice(fields)
        fields[self.mangle(name)] = fields.pop(name)

    def misplace(self, fields: dict[str, str]) -> None:
        name = self.choice(MUST_BE_SIGNED | {"mode", "ns"})
        fields[name] = self.choice(
            (
                "",
                "\x00",
                self.mangle(fields.get(name, "x")),
                ROOT,
                ADA + "#fragment",
                ADA.upper(),
                ADA + "/../root",
                "http://op.example:80/id/ada",
                "http://op.example@other.example/id/root",
                "http://op.example/id/%61da",
                "http://op.\u0435xample/id/ada",
                "http://169.254.169.254/latest/",
                "file:///etc/passwd",
                "=root",
                EVIL_ENDPOINT,
                ENDPOINT + "/",
                RETURN_TO + "&next=//evil.example",
                RETURN_TO.replace("testserver", "evil.example"),
                RETURN_TO.replace("state=s", "state=t"),
                mkNonce(int(time.time()) - 3600),
                mkNonce(int(time.time()) + 3600),
                "foreign",
                "expired",
                "unknown",
                "cancel",
                "setup_needed",
                "http://openid.net/signon/1.1",
                SREG_NS,
            )
        )

    def become(self, fields: dict[str, str]) -> None:
        fields["claimed_id"] = ROOT
        if self.random.random() < 0.5:
            fields["identity"] = ROOT

    def namespace(self, fields: dict[str, str]) -> None:
        alias = self.choice(("lp", "sreg", "ax", "pape", "x", "a.b", "", "ns", "mode", "é"))
        fields[f"ns.{alias}"] = self.choice(
            (TEAMS_NS, SREG_NS, AX_NS, PAPE_NS, OPENID2_NS, "", "x", "http://evil.example/")
        )

    # After signing: somebody on the way.

    def insert(self, pairs: Pairs) -> None:
        pairs.insert(
            self.random.randrange(len(pairs) + 1),
            self.choice(
                (
                    ("openid.lp.is_member", "drivers"),
                    ("openid.ns.teams", TEAMS_NS),
                    ("openid.teams.is_member", "drivers"),
                    ("openid.sreg.email", "root@example.org"),
                    ("openid.ns.ax", AX_NS),
                    ("openid.ax.mode", "fetch_response"),
                    ("openid.ax.type.e", "http://axschema.org/contact/email"),
                    ("openid.ax.value.e", "root@example.org"),
                    ("openid.claimed_id", ROOT),
                    ("openid.identity", ROOT),
                    ("openid.ns.a", OPENID2_NS),
                    ("openid.a.claimed_id", ADA),
                    ("openid.invalidate_handle", "known"),
                    ("openid.user_setup_url", "http://evil.example/"),
                    ("openid.mode", "id_res"),
                    ("openid.assoc_handle", "unknown"),
                    ("Openid.claimed_id", ROOT),
                    ("openid_claimed_id", ROOT),
                    ("openid.claimed_id[]", ROOT),
                    ("openid.", "x"),
                    ("from_here", "1"),
                    ("state", "t"),
                    ("next", "//evil.example/"),
                )
            ),
        )

    def smuggle(self, pairs: Pairs) -> None:
        """Put something better into an extension, in the hope that it is not signed."""
        better = self.choice(
            (
                {"ns.lp": TEAMS_NS, "lp.is_member": "drivers"},
                {"ns.sreg": SREG_NS, "sreg.email": "root@example.org"},
                {
                    "ns.ax": AX_NS,
                    "ax.mode": "fetch_response",
                    "ax.type.e": "http://axschema.org/contact/email",
                    "ax.value.e": "root@example.org",
                },
            )
        )
        names = {f"openid.{name}": value for name, value in better.items()}
        pairs[:] = [pair for pair in pairs if pair[0] not in names]
        pairs.extend(names.items())

    def remove(self, pairs: Pairs) -> None:
        if pairs:
            pairs.pop(self.random.randrange(len(pairs)))

    def double(self, pairs: Pairs) -> None:
        if pairs:
            name, value = self.choice(pairs)
            pairs.append((name, self.choice((value, self.mangle(value), ROOT))))

    def change(self, pairs: Pairs) -> None:
        if pairs:
            at = self.random.randrange(len(pairs))
            name, value = pairs[at]
            if self.random.random() < 0.3:
                pairs[at] = (self.mangle(name), value)
            else:
                pairs[at] = (name, self.choice((self.mangle(value), "", ROOT, "drivers")))

    def swap(self, pairs: Pairs) -> None:
        if len(pairs) > 1:
            one, two = self.random.sample(range(len(pairs)), 2)
            pairs[one], pairs[two] = (
                (pairs[one][0], pairs[two][1]),
                (pairs[two][0], pairs[one][1]),
            )

    def resign(self, pairs: Pairs) -> None:
        """Put another claim in and sign it all with a secret that is not the provider's."""
        fields = {name.removeprefix("openid."): value for name, value in pairs}
        fields |= self.choice(
            ({"claimed_id": ROOT, "identity": ROOT}, {"lp.is_member": "drivers"}, {})
        )
        secret = self.choice((FOREIGN, EXPIRED, STRANGE))
        if self.random.random() < 0.7:
            fields["assoc_handle"] = secret.handle
        fields["sig"] = signature(secret, fields)
        pairs[:] = [(f"openid.{name}", value) for name, value in fields.items()]

    def grow(self, pairs: Pairs) -> None:
        size = int(10 ** self.random.uniform(2, 6))
        if self.random.random() < 0.5:
            name = self.choice(
                ("openid.x", "openid.sig", "openid.signed", "openid.claimed_id", "y")
            )
            pairs.append((name, self.choice("a,:é\x00%=&") * size))
        else:
            pairs.extend((f"openid.x{number}", "") for number in range(min(size, 3000)))

    def replay(self, pairs: Pairs) -> None:
        if self.sent:
            pairs[:] = self.choice(self.sent)

    def mangle(self, text: str) -> str:
        at = self.random.randrange(len(text) + 1)
        piece = self.choice(
            (*"\x00\n\r :.,#?/%&+;'\"<é", "\u202e", "\uff0e", "\U0001f600", "ns.", "%00", "\x7f")
        )
        return self.choice(
            (
                text[:at] + piece + text[at:],
                text[:at] + text[at + 1 :],
                text.upper(),
                text[::-1],
                text + piece,
                piece + text,
                text * 2,
                "".join(self.random.choices(string.printable, k=self.random.randrange(40))),
            )
        )

    BEFORE = (drop, rename, misplace, misplace, become, namespace)
    AFTER = (
        insert,
        smuggle,
        smuggle,
        remove,
        double,
        change,
        change,
        swap,
        resign,
        resign,
        grow,
        replay,
    )

    def message(self) -> Pairs:
        """Return the parameters of one callback; one in ten is left as it was signed."""
        fields = self.fields()
        before = self.random.random()
        if before < 0.35:
            for mutation in self.random.choices(self.BEFORE, k=self.random.randrange(1, 4)):
                mutation(self, fields)
        names = list(fields)
        if self.random.random() < 0.3:
            kept = set(self.random.sample(names, self.random.randrange(len(names) + 1)))
            if self.random.random() < 0.8:
                kept |= MUST_BE_SIGNED
            names = [name for name in names if name in kept]
        fields["signed"] = ",".join(names)
        fields["sig"] = signature(KNOWN, fields)
        pairs = [(f"openid.{name}", value) for name, value in fields.items()]
        self.random.shuffle(pairs)
        if self.random.random() < 0.8:
            for mutation in self.random.choices(self.AFTER, k=self.choice((1, 1, 2, 3))):
                mutation(self, pairs)
        self.sent = [*self.sent[-20:], list(pairs)]
        return pairs

    def encode(self, pairs: Pairs) -> bytes:
        """Return the pairs as a query, now and then one that no library would write."""
        chance = self.random.random()
        if chance < 0.8:
            return urlencode(pairs, errors="replace").encode()
        if chance < 0.9:
            coding = self.choice(("latin-1", "utf-16", "utf-7"))
            return "&".join(
                f"{quote(name)}={quote(value.encode(coding, 'replace'))}" for name, value in pairs
            ).encode()
        raw = bytearray(
            self.choice(("&", ";", "&&"))
            .join(f"{name}={quote_plus(value)}" for name, value in pairs)
            .encode("utf-8", "replace")
        )
        for _ in range(self.random.randrange(4)):
            if raw:
                raw[self.random.randrange(len(raw))] = self.random.randrange(33, 256)
        return bytes(raw)


@tag("once")
@override_settings(SESSION_ENGINE="django.contrib.sessions.backends.cache")
class FuzzTests(TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.enterClassContext(without_openid_settings())
        cls.enterClassContext(
            isolated_settings(
                OPENID_SSO_SERVER_URL=PROVIDER,
                OPENID_CREATE_USERS=True,
                OPENID_UPDATE_DETAILS_FROM_SREG=True,
                OPENID_LAUNCHPAD_TEAMS_MAPPING={"readers": "readers", "drivers": "drivers"},
                OPENID_LAUNCHPAD_STAFF_TEAMS=["drivers"],
                CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
            )
        )
        super().setUpClass()

    def setUp(self) -> None:
        cache.clear()
        logging.disable(logging.CRITICAL)  # a line for each refusal
        self.addCleanup(logging.disable, logging.NOTSET)
        for name in ("readers", "drivers"):
            Group.objects.create(name=name)
        root = User.objects.create_superuser("root")
        UserOpenID.objects.create(user=root, claimed_id=ROOT, display_id=ROOT)
        store = DatabaseStore()
        store.storeAssociation(ENDPOINT, KNOWN)
        store.storeAssociation(ENDPOINT, EXPIRED)
        store.storeAssociation(EVIL_ENDPOINT, FOREIGN)
        self.fetched: list[tuple[str, str | None]] = []
        self.used: set[str] = set()
        self.enterContext(mock.patch.object(Fetcher, "fetch", self.fetch()))

    def fetch(self) -> Callable[..., HTTPResponse]:
        def fetch(
            fetcher: Fetcher, url: str, body: str | None = None, *_args: Any, **_kwargs: Any
        ) -> HTTPResponse:
            self.fetched.append((url, body))
            if body is not None and url == ENDPOINT:
                answer = f"ns:{OPENID2_NS}\nis_valid:false\n".encode()
                return HTTPResponse(url, 200, {"content-type": "text/plain"}, answer)
            if url in PAGES:
                kind = {"content-type": "application/xrds+xml"}
                return HTTPResponse(url, 200, kind, PAGES[url].encode())
            raise FetchError("no such page")

        return fetch

    def browser(self) -> Client:
        """Return a browser in which a login was begun."""
        browser = Client(raise_request_exception=False)
        session = browser.session
        login = pending.PendingLogin(
            provider=SSO,
            server_url=ENDPOINT,
            claimed_id=None,
            local_id=None,
            return_to=RETURN_TO,
            next="",
        )
        pending.remember(session, "s", login)
        session.save()
        browser.cookies["sessionid"] = session.session_key
        return browser

    def deliver(self, browser: Client, mutator: Mutator, pairs: Pairs) -> tuple[Any, Pairs]:
        """Send the message one way or another; return the response and what was sent."""
        path = reverse("openid-complete")
        encoded = mutator.encode(pairs)
        sent = read_as_django_does(encoded)
        way = mutator.random.random()
        if way < 0.6:
            query = b"state=s&" + encoded
            return browser.generic("GET", path, QUERY_STRING=query.decode("latin-1")), sent
        # In a multipart body a name is a header's value, and cannot be everything.
        if way < 0.9 or not all(re.fullmatch(r"[\w.]*", name, re.ASCII) for name, _ in pairs):
            kinds = ["application/x-www-form-urlencoded"] * 8 + ["text/plain", "a/b; c"]
            if len(pairs) < 900:  # Django itself fails on a charset and more than 1000 parameters.
                kinds.append("application/x-www-form-urlencoded; charset=latin-1")
            kind = mutator.choice(kinds)
            if mutator.random.random() < 0.1:
                half = len(encoded) // 2
                query = b"state=s&" + encoded[:half]
                response = browser.generic(
                    "POST", path, encoded[half:], kind, QUERY_STRING=query.decode("latin-1")
                )
                both = read_as_django_does(encoded[:half]) + read_as_django_does(encoded[half:])
                return response, both
            return browser.generic("POST", f"{path}?state=s", encoded, kind), sent
        doubled: dict[str, list[str]] = {}
        for name, value in pairs:
            doubled.setdefault(name, []).append(value.encode("utf-8", "replace").decode())
        return browser.post(f"{path}?state=s", doubled), pairs

    def is_genuine(self, sent: Pairs) -> bool:
        """Say whether the provider signed this for this login, and it was not used before."""
        pairs = [(name[7:], value) for name, value in sent if name.startswith("openid.")]
        fields = dict(pairs)
        if len(fields) != len(pairs) or fields.get("ns") != OPENID2_NS:
            return False
        return (
            fields.get("mode") == "id_res"
            and set(fields.get("signed", "").split(",")) >= MUST_BE_SIGNED
            and fields.get("op_endpoint") == ENDPOINT
            and fields.get("return_to") == RETURN_TO
            and fields.get("assoc_handle") == "known"
            and fields.get("response_nonce", "") not in self.used
            and fields.get("sig") == signature(KNOWN, fields)
        )

    def check(self, response: Any, browser: Client, sent: Pairs) -> str:
        """Check what came of one message, and return it."""
        fields = {name[7:]: value for name, value in sent if name.startswith("openid.")}
        genuine = self.is_genuine(sent)
        self.assertIn(response.status_code, (200, 302, 400, 403))
        for url, body in self.fetched:
            if body is None:
                self.assertTrue(genuine, f"{url} was fetched")
                self.assertEqual(url, fields["claimed_id"].partition("#")[0])
            else:
                # Stateless mode: the endpoint of the login is asked about a handle it gave out.
                self.assertEqual(url, ENDPOINT)
                self.assertEqual(parse_qs(body)["openid.mode"], ["check_authentication"])
                self.assertNotEqual(fields["assoc_handle"], "known")
        user_id = browser.session.get("_auth_user_id")
        if user_id is None:
            self.assertNotEqual(response.status_code, 302)
            return f"{response.status_code}"
        self.assertTrue(genuine, "signed in")
        self.assertEqual(response["Location"], "/")
        self.used.add(fields["response_nonce"])
        user = User.objects.get(pk=user_id)
        self.assertEqual(UserOpenID.objects.get(user=user).claimed_id, fields["claimed_id"])
        self.assertNotEqual(user.username, "root")
        self.assertFalse(user.is_staff or user.is_superuser)
        self.assertIn(user.email, ("", "ada@example.org"))
        self.assertFalse(user.groups.filter(name="drivers").exists())
        return "signed in"

    def test_mutated_assertions(self) -> None:
        mutator = Mutator(SEED)
        outcomes: Counter[str] = Counter()
        for number in range(COUNT):
            pairs = mutator.message()
            browser = self.browser()
            self.fetched.clear()
            response, sent = self.deliver(browser, mutator, list(pairs))
            try:
                outcomes[self.check(response, browser, sent)] += 1
            except AssertionError as error:
                shown = urlsplit("?" + urlencode(sent, errors="replace")).query[:3000]
                told = f"FUZZ_SEED={SEED}, message {number}, {response!r}: {shown}"
                crash = getattr(response, "exc_info", None)
                raise AssertionError(f"{error}\n{told}") from (crash[1] if crash else error)
        # Had all been refused, or none, this would have tried nothing.
        self.assertGreater(outcomes["signed in"], COUNT // 50, outcomes)
        self.assertGreater(outcomes["403"], COUNT // 4, outcomes)
        if os.environ.get("FUZZ_ASSERTIONS"):
            print(f"{COUNT} assertions, FUZZ_SEED={SEED}: {dict(outcomes)}")
        root = User.objects.get(username="root")
        self.assertIsNone(root.last_login)
        self.assertEqual(root.email, "")
        self.assertEqual(User.objects.exclude(pk=root.pk).filter(is_staff=True).count(), 0)
