"""What holds for every page: nothing inline, a strict policy, landmarks, labels."""

from html.parser import HTMLParser

from django.test import override_settings
from django.urls import reverse

from tests.example_site.summit import BUILDS, SummitTestCase, get_session


class Elements(HTMLParser):
    """The start tags of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in tags]


class PagesTests(SummitTestCase):
    def pages(self) -> dict[str, str]:
        self.sign_in("dora")
        addresses = [
            reverse("schedule"),
            reverse("session", args=[get_session(BUILDS).id]),
            reverse("propose"),
            reverse("my-schedule"),
            reverse("account"),
            reverse("openid-login"),
            "/nowhere/",
        ]
        return {address: self.client.get(address).content.decode() for address in addresses}

    def test_nothing_is_inline(self) -> None:
        for address, page in self.pages().items():
            with self.subTest(address):
                elements = Elements(page)
                self.assertEqual(elements.named("style"), [])
                for script in elements.named("script"):
                    self.assertTrue("src" in script or script["type"] == "application/json")
                for _, attributes in elements.found:
                    self.assertFalse([name for name in attributes if name.startswith("on")])
                    self.assertNotIn("style", attributes)

    def test_each_has_one_heading_a_main_landmark_and_a_way_to_it(self) -> None:
        for address, page in self.pages().items():
            with self.subTest(address):
                elements = Elements(page)
                self.assertEqual(len(elements.named("h1")), 1)
                self.assertEqual([main["id"] for main in elements.named("main")], ["main"])
                self.assertEqual(elements.named("a")[0]["href"], "#main")

    def test_each_field_has_a_label(self) -> None:
        for address, page in self.pages().items():
            with self.subTest(address):
                elements = Elements(page)
                labelled = {label["for"] for label in elements.named("label")}
                for field in elements.named("input", "textarea", "select"):
                    if field.get("type") != "hidden":
                        self.assertIn(field["id"], labelled)

    def test_no_id_is_there_twice(self) -> None:
        for address, page in self.pages().items():
            with self.subTest(address):
                ids = [a["id"] for _, a in Elements(page).found if "id" in a]
                self.assertEqual(sorted(ids), sorted(set(ids)))

    @override_settings(OPENID_SSO_SERVER_URL="https://sso.example:8443/openid/")
    def test_the_policy_lets_in_nothing_from_elsewhere_and_forms_out_to_the_provider(self) -> None:
        policy = self.client.get(reverse("schedule")).headers["Content-Security-Policy"]
        self.assertIn("default-src 'none';", policy)
        self.assertIn("form-action 'self' https://sso.example:8443;", policy)
        self.assertNotIn("unsafe", policy)

    def test_every_answer_has_the_policy(self) -> None:
        self.sign_in("aino")
        answers = {
            302: self.post("join", BUILDS),
            403: self.post("move", BUILDS, room="", slot=""),
            404: self.client.get("/nowhere/"),
            409: self.post("leave", BUILDS),
        }
        for status, response in answers.items():
            with self.subTest(status):
                self.assertEqual(response.status_code, status)
                self.assertIn("Content-Security-Policy", response.headers)
