"""Only what is signed, in a signed namespace, is read."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import override_settings
from openid.store.nonce import mkNonce

from tests.openid_auth.provider import (
    AX_NS,
    PAPE_NS,
    PHYSICAL,
    SREG_NS,
    TEAMS_NS,
    ForgingTestCase,
)

User = get_user_model()


@override_settings(
    OPENID_LAUNCHPAD_TEAMS_MAPPING={"drivers": "drivers"},
    OPENID_LAUNCHPAD_STAFF_TEAMS=["drivers"],
    OPENID_UPDATE_DETAILS_FROM_SREG=True,
)
class ExtensionTests(ForgingTestCase):
    TEAMS = {"ns__lp": TEAMS_NS, "lp__is_member": "drivers"}

    def setUp(self) -> None:
        super().setUp()
        Group.objects.create(name="drivers")

    def sign_without(self, fields: dict[str, str], *unsigned: str) -> dict[str, str]:
        return self.sign(fields, [name for name in fields if name not in unsigned])

    def assert_in_no_team(self) -> None:
        user = User.objects.get()
        self.assertFalse(user.groups.exists())
        self.assertFalse(user.is_staff)

    def test_signed_teams_count(self) -> None:
        self.assert_signs_in(self.deliver(self.sign(self.fields(**self.TEAMS))))
        self.assertTrue(User.objects.get().is_staff)
        self.assertEqual(User.objects.get().groups.get().name, "drivers")

    def test_unsigned_teams_do_not(self) -> None:
        fields = self.fields(**self.TEAMS)
        self.deliver(self.sign_without(fields, "lp.is_member"))
        self.assert_in_no_team()

    def test_teams_in_an_unsigned_namespace_do_not(self) -> None:
        fields = self.fields(**self.TEAMS)
        self.deliver(self.sign_without(fields, "ns.lp"))
        self.assert_in_no_team()

    def test_teams_added_to_a_signed_answer_do_not(self) -> None:
        parameters = self.sign(self.fields())
        parameters |= {"openid.ns.lp": TEAMS_NS, "openid.lp.is_member": "drivers"}
        self.deliver(parameters)
        self.assert_in_no_team()

    def test_teams_in_another_namespace_do_not(self) -> None:
        self.deliver(self.sign(self.fields(ns__lp="http://evil.example/", lp__is_member="drivers")))
        self.assert_in_no_team()

    def test_teams_changed_on_the_way_are_refused(self) -> None:
        parameters = self.sign(self.fields(ns__lp=TEAMS_NS, lp__is_member="readers"))
        parameters["openid.lp.is_member"] = "drivers"
        with self.no_fetch():
            self.assert_refused(self.deliver(parameters))
        self.assertFalse(User.objects.exists())

    def test_taking_the_question_out_does_not_keep_the_groups(self) -> None:
        self.deliver(self.sign(self.fields(**self.TEAMS)))
        self.client.logout()
        self.deliver(self.sign(self.fields()))
        self.assert_in_no_team()

    def test_an_unsigned_email_is_not_read(self) -> None:
        fields = self.fields(ns__sreg=SREG_NS, sreg__email="boss@example.org")
        self.deliver(self.sign_without(fields, "sreg.email"))
        self.assertEqual(User.objects.get().email, "")

    def test_unsigned_attributes_are_not_read(self) -> None:
        ax = {
            "ns__ax": AX_NS,
            "ax__mode": "fetch_response",
            "ax__type__a": "http://axschema.org/contact/email",
            "ax__value__a": "boss@example.org",
        }
        for unsigned in ("ns.ax", "ax.mode", "ax.type.a", "ax.value.a"):
            User.objects.all().delete()
            self.client.logout()
            with self.subTest(unsigned):
                self.assert_signs_in(self.deliver(self.sign_without(self.fields(**ax), unsigned)))
                self.assertEqual(User.objects.get().email, "")
        self.client.logout()
        self.deliver(self.sign(self.fields(**ax)))
        self.assertEqual(User.objects.get().email, "boss@example.org")

    def test_an_unsigned_second_factor_does_not_count(self) -> None:
        fields = self.fields(ns__pape=PAPE_NS, pape__auth_policies=PHYSICAL)
        with override_settings(OPENID_PHYSICAL_MULTIFACTOR_REQUIRED=True):
            response = self.deliver(self.sign_without(fields, "pape.auth_policies"))
            self.assert_refused(response, "physical second factor")
            fields["return_to"], fields["response_nonce"] = self.return_to(), mkNonce()
            self.assert_signs_in(self.deliver(self.sign(fields)))
