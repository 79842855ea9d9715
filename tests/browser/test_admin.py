"""The programme in Django's admin, as a driver has it: Storm's objects, on Django's pages."""

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.transaction import atomic
from django.urls import reverse
from selenium.webdriver.common.by import By

from example_site.sprints.apps import DRIVERS
from example_site.sprints.programme import Session
from storm_django import get_store
from tests.browser.base import BrowserTestCase
from tests.example_site.summit import BUILDS, PHONES, attends, id_of_session, place, place_of

FORKS = "Fewer forks"


@atomic
def exists(title: str) -> bool:
    return not get_store().find(Session, title=title).is_empty()


class AdminTests(BrowserTestCase):
    def rows(self) -> list[str]:
        """The titles in the list of sessions."""
        cells = self.browser.find_elements(By.CSS_SELECTOR, "#result_list .field-title")
        return [cell.text for cell in cells]

    def history(self) -> str:
        self.press(".historylink")
        return self.find("#change-history").text

    def search(self, words: str) -> None:
        self.open("admin:sprints_session_changelist")
        self.write("q", words)
        self.press("#changelist-search [type=submit]")

    def test_a_driver_adds_finds_edits_and_deletes_a_session(self) -> None:
        self.sign_in("ada")
        self.press("nav a[href='/admin/']")
        self.press("tr.model-session a.addlink")
        self.write("title", FORKS)
        self.write("description", "Or better ones.")
        ada = get_user_model().objects.get(username="ada")
        self.choose("proposer_id", ada.pk)
        self.press("[name=_save]")
        self.assertIn(f"{FORKS}” was added successfully", self.find(".success").text)
        self.assertTrue(attends("ada", FORKS))

        self.search("forks")
        self.assertEqual(self.rows(), [FORKS])
        self.press("#result_list .field-title a")
        for name, value in place("Tideline", 1, "16:20").items():
            self.choose(name, value)
        self.write("title", " and spoons")
        self.press("[name=_continue]")
        title = f"{FORKS} and spoons"
        self.assertIn("was changed successfully", self.find(".success").text)
        self.assertEqual(place_of(title), ("Tideline", "Wed 16:20"))

        history = self.history()
        for words in ("Added.", "Changed Title, Room and Slot."):
            self.assertIn(words, history)

        self.browser.back()
        self.press(".deletelink")
        self.assertIn("Attendance: 1", self.find("#content").text)
        self.press("#content [type=submit]")
        self.assertIn("was deleted successfully", self.find(".success").text)
        self.assertFalse(exists(title))
        self.search("spoons")
        self.assertEqual(self.rows(), [])

    def test_the_session_is_a_click_away_from_its_page(self) -> None:
        self.sign_in("ada")
        number = id_of_session(PHONES)
        self.open("admin:sprints_session_change", number)
        self.press(".viewsitelink")
        self.assertEqual(
            self.browser.current_url, self.live_server_url + reverse("session", args=[number])
        )
        self.assertEqual(self.find("h1").text, PHONES)

    def test_a_clash_is_explained_above_the_form(self) -> None:
        self.sign_in("ada")
        self.open("admin:sprints_session_change", id_of_session(PHONES))
        for name, value in place("Tideline", 0, "10:30").items():
            self.choose(name, value)
        self.press("[name=_save]")
        self.assertIn(f"Chidi Okafor is at “{BUILDS}”", self.find(".errornote + .errorlist").text)
        self.assertIsNone(place_of(PHONES))

    def test_one_who_is_no_driver_is_refused(self) -> None:
        self.sign_in("mei")
        self.open("schedule")
        self.assertNotIn("Admin", self.find("nav").text)
        for page, *args in [["changelist"], ["delete", id_of_session(PHONES)]]:
            self.open(f"admin:sprints_session_{page}", *args)
            self.assertIn(
                "authenticated as mei, but are not authorized", self.find("#content").text
            )

    def test_one_of_the_staff_without_the_permission_is_refused(self) -> None:
        self.sign_in("ada")
        Group.objects.get(name=DRIVERS).permissions.clear()
        for page, *args in [["changelist"], ["add"], ["change", id_of_session(PHONES)]]:
            self.open(f"admin:sprints_session_{page}", *args)
            self.assertNotIn(PHONES, self.find("body").text)
            self.assertIn("You have no permission for this page", self.text)

    def test_a_driver_sees_who_goes_where(self) -> None:
        self.sign_in("ada")
        self.open("admin:sprints_attendance_changelist")
        self.assertIn(BUILDS, self.find("#result_list").text)


class AdminWithoutJavaScriptTests(AdminTests):
    javascript = False
