"""How many statements the pages need, of both object mappers together."""

from django.urls import reverse

from storm_django import get_store
from tests.example_site.summit import BUILDS, SummitTestCase, get_session


class StatementsTests(SummitTestCase):
    """Each test has nothing in memory, as a request on a site. One statement is a savepoint."""

    def assert_needs(self, statements: int, name: str, *args: object) -> None:
        get_store().invalidate()
        with self.assertNumQueries(statements):
            self.assertEqual(self.client.get(reverse(name, args=args)).status_code, 200)

    def test_for_a_visitor(self) -> None:
        self.assert_needs(6, "schedule")
        self.assert_needs(7, "session", get_session(BUILDS).id)

    def test_for_a_member(self) -> None:
        self.sign_in("chidi")
        self.assert_needs(8, "schedule")
        self.assert_needs(10, "session", get_session(BUILDS).id)
        self.assert_needs(9, "my-schedule")

    def test_for_a_driver(self) -> None:
        self.sign_in("dora")
        self.assert_needs(13, "session", get_session(BUILDS).id)
