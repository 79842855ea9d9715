"""Who one is, signing out, and the admin."""

from django.contrib.auth.models import Group
from django.urls import reverse

from example_site.sprints.apps import DRIVERS
from example_site.sprints.models import Attendance, Comment
from openid_auth.models import UserOpenID
from tests.example_site.summit import SummitTestCase


class AccountTests(SummitTestCase):
    def test_it_shows_name_address_groups_and_identity(self) -> None:
        user = self.sign_in("dora")
        user.email = "dora@dunlin.example"
        user.save()
        identity = "https://id.example/dora"
        UserOpenID.objects.create(user=user, claimed_id=identity, display_id=identity)
        page = self.client.get(reverse("account"))
        for text in ("Dora Lind", "dora@dunlin.example", DRIVERS, identity):
            self.assertContains(page, text)

    def test_without_groups_and_identities_it_says_so(self) -> None:
        self.sign_in("aino")
        page = self.client.get(reverse("account"))
        self.assertContains(page, "<dd>none</dd>", html=True)
        self.assertContains(page, "you sign in with a password")

    def test_one_signs_out_with_a_post(self) -> None:
        self.sign_in("aino")
        self.assertEqual(self.client.get(reverse("sign-out")).status_code, 405)
        self.assertEqual(self.client.get(reverse("account")).status_code, 200)
        self.assertRedirects(self.client.post(reverse("sign-out")), reverse("schedule"))
        self.assertEqual(self.client.get(reverse("account")).status_code, 302)


class AdminTests(SummitTestCase):
    def setUp(self) -> None:
        user = self.sign_in("dora")
        user.is_staff = True
        user.save()

    def test_a_driver_removes_a_comment(self) -> None:
        comment = Comment.objects.first()
        self.client.post(
            reverse("admin:sprints_comment_delete", args=[comment.pk]), {"post": "yes"}
        )
        self.assertFalse(Comment.objects.filter(pk=comment.pk).exists())

    def test_a_driver_corrects_a_comment(self) -> None:
        comment = Comment.objects.first()
        address = reverse("admin:sprints_comment_change", args=[comment.pk])
        self.client.post(address, {"text": "Sessions over the network too."})
        comment.refresh_from_db()
        self.assertEqual(comment.text, "Sessions over the network too.")

    def test_the_lists_lead_to_the_sessions(self) -> None:
        for name in ("attendance", "comment"):
            page = self.client.get(reverse(f"admin:sprints_{name}_changelist"))
            self.assertContains(page, 'href="/sessions/')

    def test_attendance_is_only_looked_at(self) -> None:
        attendance = Attendance.objects.first()
        address = reverse("admin:sprints_attendance_change", args=[attendance.pk])
        self.assertEqual(self.client.get(address).status_code, 200)
        self.assertEqual(self.client.post(address, {}).status_code, 403)
        self.assertEqual(self.client.get(reverse("admin:sprints_attendance_add")).status_code, 403)

    def test_drivers_may_nothing_else_there(self) -> None:
        programme = {
            f"{action}_{name}"
            for action in ("view", "add", "change", "delete")
            for name in ("room", "slot", "session")
        }
        self.assertEqual(
            set(Group.objects.get(name=DRIVERS).permissions.values_list("codename", flat=True)),
            {"view_attendance", "view_comment", "change_comment", "delete_comment", *programme},
        )
