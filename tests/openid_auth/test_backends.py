"""From an assertion to an account: groups, details, permissions, and the methods to override."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import Group
from django.test import RequestFactory, override_settings

from openid_auth.backends import OpenIDBackend
from openid_auth.details import UserDetails
from openid_auth.exceptions import TeamRequired
from openid_auth.models import UserOpenID
from openid_auth.signals import openid_duplicate_username
from tests.openid_auth.provider import AX_NS, SREG_NS, ForgingTestCase, ProviderTestCase

User = get_user_model()


class CarefulBackend(OpenIDBackend):
    """What a site may do: its own rule, and its own names."""

    def check_teams(self, details: UserDetails, is_member: frozenset[str]) -> None:
        if "kernel-team" not in is_member:
            raise TeamRequired(("kernel-team",))

    def create_user(self, assertion: Any, details: UserDetails) -> Any:
        user = super().create_user(assertion, details)
        user.last_name = "of the kernel"
        user.save()
        return user


class TeamsTests(ProviderTestCase):
    def setUp(self) -> None:
        super().setUp()
        Group.objects.all().delete()  # The site that the tests run in may have brought some.
        self.drivers = Group.objects.create(name="drivers of the summit")
        self.staff = Group.objects.create(name="kept")

    def groups(self) -> list[str]:
        return sorted(User.objects.get().groups.values_list("name", flat=True))

    @override_settings(OPENID_LAUNCHPAD_TEAMS_MAPPING={"summit-drivers": "drivers of the summit"})
    def test_a_member_is_put_into_the_group(self) -> None:
        self.sign_in("ada")
        self.assertEqual(self.groups(), ["drivers of the summit"])

    @override_settings(OPENID_LAUNCHPAD_TEAMS_MAPPING={"summit-drivers": "drivers of the summit"})
    def test_who_is_in_another_team_is_not(self) -> None:
        self.sign_in("linus")
        self.assertEqual(self.groups(), [])

    @override_settings(OPENID_LAUNCHPAD_TEAMS_MAPPING={"summit-drivers": "drivers of the summit"})
    def test_groups_of_teams_that_were_left_are_dropped_and_others_kept(self) -> None:
        self.sign_in("linus")
        User.objects.get().groups.add(self.drivers, self.staff)
        self.client.logout()
        self.sign_in("linus")
        self.assertEqual(self.groups(), ["kept"])

    @override_settings(OPENID_LAUNCHPAD_TEAMS_MAPPING={"summit-drivers": "no such group"})
    def test_a_group_is_not_created_but_missed_in_the_log(self) -> None:
        with self.assertLogs("openid_auth", "WARNING") as logs:
            self.sign_in("ada")
        self.assertIn("no such group", logs.output[0])
        self.assertEqual(Group.objects.count(), 2)

    @override_settings(
        OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO=True,
        OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO_BLACKLIST=["kernel-team"],
    )
    def test_the_automatic_mapping_leaves_the_blacklist_alone(self) -> None:
        Group.objects.create(name="summit-drivers")
        Group.objects.create(name="kernel-team")
        self.sign_in("ada")
        self.assertEqual(self.groups(), ["summit-drivers"])

    @override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=["summit-drivers"])
    def test_only_members_of_a_required_team_get_in(self) -> None:
        self.assert_refused(self.sign_in("nora"), "summit-drivers")
        self.assertFalse(User.objects.exists())
        self.sign_in("grace")
        self.assertEqual(self.whoami(), "grace")

    @override_settings(OPENID_LAUNCHPAD_STAFF_TEAMS=["summit-drivers"])
    def test_a_staff_team_makes_staff(self) -> None:
        self.sign_in("ada")
        self.assertTrue(User.objects.get().is_staff)

    @override_settings(AUTHENTICATION_BACKENDS=["tests.openid_auth.test_backends.CarefulBackend"],
                       OPENID_LAUNCHPAD_TEAMS_MAPPING={"kernel-team": "kept"})  # fmt: skip
    def test_decisions_can_be_overridden(self) -> None:
        self.assert_refused(self.sign_in("grace"), "kernel-team")
        self.sign_in("ada")
        self.assertEqual(self.whoami(), "ada")


class DetailsTests(ForgingTestCase):
    def deliver_fields(self, **fields: str) -> Any:
        return self.deliver(self.sign(self.fields(**fields)))

    def test_details_are_updated_only_if_told_to(self) -> None:
        self.deliver_fields(ns__sreg=SREG_NS, sreg__email="one@example.org")
        self.deliver_fields(ns__sreg=SREG_NS, sreg__email="two@example.org")
        self.assertEqual(User.objects.get().email, "one@example.org")
        with override_settings(OPENID_UPDATE_DETAILS_FROM_SREG=True):
            self.deliver_fields(ns__sreg=SREG_NS, sreg__email="two@example.org")
            self.assertEqual(User.objects.get().email, "two@example.org")
            self.deliver_fields()
        self.assertEqual(User.objects.get().email, "two@example.org")

    def test_what_is_not_an_email_address_is_not_taken(self) -> None:
        self.deliver_fields(ns__sreg=SREG_NS, sreg__email="<script>@x")
        self.assertEqual(User.objects.get().email, "")

    def test_names_are_cut_and_cleaned(self) -> None:
        self.deliver_fields(ns__sreg=SREG_NS, sreg__fullname="A\x00\u202eda  " + "x" * 400)
        user = User.objects.get()
        self.assertEqual((user.first_name, len(user.last_name)), ("A da", 150))

    def test_attributes_come_before_sreg(self) -> None:
        self.deliver_fields(
            ns__sreg=SREG_NS,
            sreg__fullname="Sreg Name",
            ns__x=AX_NS,
            x__mode="fetch_response",
            x__type__f="http://axschema.org/namePerson/first",
            x__value__f="Ax",
            x__type__l="http://axschema.org/namePerson/last",
            x__count__l="1",
            x__value__l__1="Person",
        )
        self.assertEqual(User.objects.get().get_full_name(), "Ax Person")

    def test_malformed_attributes_are_not_read(self) -> None:
        for fields in (
            {"x__mode": "store_request"},
            {"x__mode": "fetch_response", "x__type__a": "http://axschema.org/contact/email"},
            {"x__mode": "fetch_response", "x__type__a": "u:", "x__count__a": "many"},
            {"x__mode": "fetch_response", "x__type__a": "u:", "x__count__a": "9" * 30},
        ):
            with self.subTest(fields):
                self.assert_signs_in(self.deliver_fields(ns__x=AX_NS, **fields))

    def test_a_verified_account_gets_the_permission_and_loses_it(self) -> None:
        fields = {
            "ns__x": AX_NS,
            "x__mode": "fetch_response",
            "x__type__v": "http://ns.login.ubuntu.com/2013/validation/account",
        }
        with override_settings(
            OPENID_VALID_VERIFICATION_SCHEMES={self.endpoint: ("token_via_email",)},
            OPENID_UPDATE_DETAILS_FROM_SREG=True,
        ):
            for scheme, verified in (("token_via_email", True), ("none", False)):
                self.deliver_fields(x__value__v=scheme, **fields)
                user = User.objects.get()
                self.assertEqual(user.has_perm("openid_auth.account_verified"), verified)

    def test_deleting_the_last_identity_takes_the_permission_away(self) -> None:
        self.test_a_verified_account_gets_the_permission_and_loses_it()
        user = User.objects.get()
        from openid_auth.models import account_verified_permissions

        user.user_permissions.add(*account_verified_permissions())
        UserOpenID.objects.get().delete()
        self.assertFalse(user.user_permissions.exists())


class BackendTests(ForgingTestCase):
    def test_it_takes_neither_passwords_nor_anything_but_an_assertion(self) -> None:
        User.objects.create_user("ada", password="secret")
        request = RequestFactory().get("/")
        self.assertIsNone(authenticate(request, username="ada", password="secret"))
        self.assertIsNone(authenticate(request, openid_response=object()))
        self.assertIsNone(authenticate(request, openid_response=None))

    def test_it_gives_the_permissions_of_groups(self) -> None:
        from openid_auth.models import account_verified_permissions

        user = User.objects.create_user("ada")
        group = Group.objects.create(name="g")
        group.permissions.add(*account_verified_permissions())
        user.groups.add(group)
        self.assertTrue(user.has_perm("openid_auth.account_verified"))

    def test_a_receiver_may_free_the_name(self) -> None:
        other = User.objects.create_user("ada")

        def rename(sender: Any, username: str, **kwargs: Any) -> None:
            sender.objects.filter(username=username).update(username="former-ada")

        openid_duplicate_username.connect(rename)
        self.addCleanup(openid_duplicate_username.disconnect, rename)
        fields = self.fields(ns__sreg=SREG_NS, sreg__nickname="ada")
        with override_settings(OPENID_STRICT_USERNAMES=True):
            self.deliver(self.sign(fields))
        self.assertEqual(self.whoami(), "ada")
        other.refresh_from_db()
        self.assertEqual(other.username, "former-ada")

    def test_identities_differ_in_case_and_in_fragment(self) -> None:
        """MariaDB's usual collations would take them for the same."""
        for claimed_id in ("https://x.example/Ada", "https://x.example/ada",
                           "https://x.example/ada#2", "https://x.example/ada "):  # fmt: skip
            user = User.objects.create_user(f"u{User.objects.count()}")
            UserOpenID.objects.create(user=user, claimed_id=claimed_id, display_id=claimed_id)
            found = UserOpenID.objects.for_claimed_id(claimed_id)
            self.assertEqual(found and found.user, user)

    def test_an_identity_changed_behind_its_digest_signs_nobody_in(self) -> None:
        user = User.objects.create_user("ada")
        UserOpenID.objects.create(user=user, claimed_id="https://x.example/a", display_id="a")
        UserOpenID.objects.update(claimed_id="https://x.example/b")
        self.assertIsNone(UserOpenID.objects.for_claimed_id("https://x.example/a"))
        self.assertIsNone(UserOpenID.objects.for_claimed_id("https://x.example/b"))

    def test_a_failure_page_of_the_site_is_used(self) -> None:
        path = "tests.openid_auth.test_backends.render_failure"
        with override_settings(OPENID_RENDER_FAILURE=path):
            response = self.deliver({})
        self.assertEqual((response.status_code, response.content), (418, b"AssertionRefused"))


def render_failure(
    request: Any, message: str, status: int, template_name: str, exception: Any
) -> Any:
    from django.http import HttpResponse

    return HttpResponse(type(exception).__name__, status=418)
