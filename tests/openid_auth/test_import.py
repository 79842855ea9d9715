"""A site moves: the identities of another package's tables sign in to the same accounts."""

from __future__ import annotations

from io import StringIO
from typing import Any
from unittest import mock

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.db.models.query import QuerySet
from django.test import Client, TransactionTestCase, override_settings

from openid_auth.importing import Importer
from openid_auth.models import UserOpenID
from tests.openid_auth.provider import ProviderBrowser, ProviderMixin

User = get_user_model()


def old_table(name: str, **fields: models.Field[Any, Any]) -> type[models.Model]:
    """Return a model of a table of another package, of which no app of this site is the owner."""

    class Meta:
        app_label = "openid_auth_old"
        db_table = name

    attributes = {"__module__": __name__, "Meta": Meta, "user_id": models.IntegerField(), **fields}
    return type(name.title().replace("_", ""), (models.Model,), attributes)


# The columns that the packages' migrations make, without the foreign key: a row may be left over.
OldOpenID = old_table(
    "django_openid_auth_useropenid",
    claimed_id=models.TextField(max_length=2047),
    display_id=models.TextField(max_length=2047),
)
OldSocial = old_table(
    "social_auth_usersocialauth",
    provider=models.CharField(max_length=32),
    uid=models.CharField(max_length=255),
)
OldAllauth = old_table(
    "socialaccount_socialaccount",
    provider=models.CharField(max_length=200),
    uid=models.CharField(max_length=255),
)


class ImportTestCase(ProviderMixin, TransactionTestCase):
    tables = (OldOpenID,)

    def setUp(self) -> None:
        super().setUp()
        for model in self.tables:
            with connection.schema_editor() as editor:
                editor.create_model(model)
            self.addCleanup(self.drop, model)

    def drop(self, model: type[models.Model]) -> None:
        with connection.schema_editor() as editor:
            editor.delete_model(model)

    def run_import(self, *args: str) -> list[str]:
        """Run the command; return its lines."""
        out = StringIO()
        call_command("openid_import", *args, stdout=out, stderr=out)
        return [" ".join(line.split()) for line in out.getvalue().splitlines()]

    def address(self, name: str) -> str:
        return f"{self.server.url}id/{name}/"

    def old_site(self) -> dict[str, Any]:
        """Fill the old tables; return the accounts by the name of their identity."""
        accounts = {}
        for number, name in enumerate(("ada", "grace", "linus", "mei")):
            user = User.objects.create_user(f"person{number}", f"{name}@old.example")
            accounts[name] = user
            OldOpenID.objects.create(
                user_id=user.pk, claimed_id=self.address(name), display_id=name
            )
        accounts["ada"].groups.add(Group.objects.create(name="drivers"))
        return accounts


class MoveTests(ImportTestCase):
    def test_each_user_signs_in_to_the_same_account(self) -> None:
        accounts = self.old_site()
        self.assertIn("4 taken over", self.run_import())
        with override_settings(OPENID_CREATE_USERS=False):
            for name, user in accounts.items():
                client = Client()
                answer = ProviderBrowser().answer(self.begin(client), name)
                self.assertEqual(self.complete(answer, client).status_code, 302)
                self.assertEqual(client.session["_auth_user_id"], str(user.pk))
        self.assertEqual(User.objects.count(), 4)
        self.assertEqual([group.name for group in accounts["ada"].groups.all()], ["drivers"])

    def test_an_account_keeps_all_of_its_identities(self) -> None:
        user = self.old_site()["ada"]
        OldOpenID.objects.create(user_id=user.pk, claimed_id=self.address("yusuf"), display_id="")
        self.run_import()
        self.sign_in("yusuf")
        self.assertEqual(self.whoami(), user.username)

    def test_identities_that_differ_in_case_only_stay_apart(self) -> None:
        ada, other = User.objects.create_user("ada"), User.objects.create_user("other")
        for user, name in ((ada, "ada"), (other, "Ada")):
            OldOpenID.objects.create(
                user_id=user.pk, claimed_id=f"https://x.example/{name}", display_id=name
            )
        self.run_import()
        self.assertEqual(UserOpenID.objects.for_claimed_id("https://x.example/Ada").user, other)
        self.assertEqual(UserOpenID.objects.for_claimed_id("https://x.example/ada").user, ada)

    def test_the_permission_goes_along(self) -> None:
        user = self.old_site()["ada"]
        content_type = ContentType.objects.create(
            app_label="django_openid_auth", model="useropenid"
        )
        self.addCleanup(ContentType.objects.clear_cache)
        old = Permission.objects.create(
            content_type=content_type, codename="account_verified", name="old"
        )
        user.user_permissions.add(old)
        Group.objects.get(name="drivers").permissions.add(old)
        self.assertIn("2 users and groups with the permission account_verified", self.run_import())
        self.assertTrue(User.objects.get(pk=user.pk).has_perm("openid_auth.account_verified"))
        names = Group.objects.get(name="drivers").permissions.values_list(
            "content_type__app_label", flat=True
        )
        self.assertIn("openid_auth", names)


class SafetyTests(ImportTestCase):
    def test_a_dry_run_counts_the_same_and_writes_nothing(self) -> None:
        self.old_site()
        OldOpenID.objects.create(user_id=0, claimed_id="https://x.example/", display_id="")
        dry = self.run_import("--dry-run", "--batch-size", "2")
        self.assertFalse(UserOpenID.objects.exists())
        self.assertIn("Nothing was written: this was a dry run.", dry)
        self.assertEqual(dry[:-1], self.run_import("--batch-size", "2"))
        self.assertEqual(UserOpenID.objects.count(), 4)

    def test_it_tells_how_far_it_is(self) -> None:
        self.old_site()
        lines = self.run_import("--batch-size", "3")
        self.assertEqual(lines[:2], ["3 of 4 rows", "4 of 4 rows"])

    def test_it_can_be_run_again(self) -> None:
        self.old_site()
        self.run_import()
        lines = self.run_import()
        self.assertIn("0 taken over", lines)
        self.assertIn("4 there already", lines)
        self.assertEqual(UserOpenID.objects.count(), 4)

    def test_what_was_done_stays_if_it_stops_halfway_and_the_rest_follows(self) -> None:
        accounts = self.old_site()
        create = QuerySet.bulk_create
        batches = []

        def fail_later(rows: Any, *args: Any, **kwargs: Any) -> Any:
            batches.append(rows)
            if len(batches) == 2:
                raise KeyboardInterrupt
            return create(rows, *args, **kwargs)

        with (
            mock.patch.object(QuerySet, "bulk_create", fail_later),
            self.assertRaises(KeyboardInterrupt),
        ):
            self.run_import("--batch-size", "2")
        self.assertEqual(UserOpenID.objects.count(), 2)
        self.assertEqual(OldOpenID.objects.count(), 4)
        self.assertIn("2 taken over", self.run_import("--batch-size", "2"))
        found = set(UserOpenID.objects.values_list("user_id", flat=True))
        self.assertEqual(found, {user.pk for user in accounts.values()})

    def test_somebody_who_signs_in_meanwhile_is_no_obstacle(self) -> None:
        accounts = self.old_site()
        decide = Importer._decide
        logins: list[UserOpenID] = []

        def decide_and_be_raced(importer: Importer, rows: Any, using: str) -> Any:
            results = decide(importer, rows, using)
            if not logins:
                logins.append(
                    UserOpenID.objects.create(
                        user=accounts["ada"], claimed_id=self.address("ada"), display_id=""
                    )
                )
            return results

        with mock.patch.object(Importer, "_decide", decide_and_be_raced):
            self.assertIn("4 taken over", self.run_import())
        self.assertEqual(UserOpenID.objects.count(), 4)

    def test_an_identity_of_another_account_is_left_to_decide(self) -> None:
        accounts = self.old_site()
        UserOpenID.objects.create(
            user=accounts["mei"], claimed_id=self.address("ada"), display_id=""
        )
        out = StringIO()
        with self.assertRaises(CommandError) as caught:
            call_command("openid_import", stdout=out, stderr=out)
        self.assertIn("1 identities belong to other accounts", str(caught.exception))
        self.assertIn(self.address("ada"), out.getvalue())
        found = UserOpenID.objects.for_claimed_id(self.address("ada"))
        self.assertEqual(found.user, accounts["mei"])
        self.assertEqual(UserOpenID.objects.count(), 4)

    def test_what_cannot_sign_in_is_counted_and_left(self) -> None:
        user = User.objects.create_user("ada")
        for claimed_id in ("=ada", "https://x.example/" + "x" * 2047):
            OldOpenID.objects.create(user_id=user.pk, claimed_id=claimed_id, display_id="")
        OldOpenID.objects.create(user_id=0, claimed_id="https://x.example/", display_id="")
        lines = self.run_import()
        self.assertIn("2 with something that is not an http or https address", lines)
        self.assertIn("1 of an account that is not there", lines)
        self.assertFalse(UserOpenID.objects.exists())

    def test_wrong_options_are_said_so(self) -> None:
        for args, text in (
            (["--from", "allauth"], "has no table socialaccount_socialaccount"),
            (["--provider", "openid"], "--provider is for"),
            (["--batch-size", "0"], "--batch-size"),
        ):
            with self.subTest(args), self.assertRaises(CommandError) as caught:
                self.run_import(*args)
            self.assertIn(text, str(caught.exception))


class OtherPackagesTests(ImportTestCase):
    tables = (OldSocial, OldAllauth)

    def test_the_identities_of_both_are_taken_over(self) -> None:
        for model, package, name in (
            (OldSocial, "social-core", "ada"),
            (OldAllauth, "allauth", "grace"),
        ):
            user = User.objects.create_user(f"old-{name}")
            model.objects.create(user_id=user.pk, provider="openid", uid=self.address(name))
            model.objects.create(user_id=user.pk, provider="github", uid="https://github.example/1")
            model.objects.create(user_id=user.pk, provider="openid", uid="not-an-address")
            with self.subTest(package):
                lines = self.run_import("--from", package)
                self.assertIn("1 taken over", lines)
                self.assertIn("1 with something that is not an http or https address", lines)
                self.client.logout()
                self.sign_in(name)
                self.assertEqual(self.whoami(), f"old-{name}")

    def test_other_names_of_providers_can_be_given(self) -> None:
        user = User.objects.create_user("ada")
        for provider in ("ubuntu", "launchpad", "openid"):
            uid = f"https://{provider}.example/ada"
            OldSocial.objects.create(user_id=user.pk, provider=provider, uid=uid)
        self.run_import("--from", "social-core", "--provider", "ubuntu", "--provider", "launchpad")
        self.assertEqual(UserOpenID.objects.count(), 2)

    def test_one_identity_of_two_accounts_is_a_conflict_in_a_dry_run_too(self) -> None:
        for number, provider in enumerate(("a", "b")):
            user = User.objects.create_user(f"user{number}")
            OldSocial.objects.create(
                user_id=user.pk, provider=provider, uid="https://x.example/ada"
            )
        for options in (["--dry-run"], []):
            with self.subTest(options), self.assertRaises(CommandError):
                self.run_import(
                    "--from", "social-core", "--provider", "a", "--provider", "b",
                    "--batch-size", "1", *options,
                )  # fmt: skip
        self.assertEqual(UserOpenID.objects.count(), 1)
