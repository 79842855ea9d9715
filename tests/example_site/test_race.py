"""Two people at the same moment: the database lets one of them win."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from django.contrib.auth import get_user_model
from django.db import connections
from django.http import HttpResponse
from django.test import Client, TransactionTestCase, skipUnlessDBFeature
from django.urls import reverse

from example_site.sprints.models import Attendance
from tests.example_site.summit import (
    BUILDS,
    FONT,
    PHONES,
    RISCV,
    id_of_session,
    load_summit,
    place,
    place_of,
    remove_programme,
)

Act = Callable[[Client], HttpResponse]


def address(name: str, title: str) -> str:
    return reverse(name, args=[id_of_session(title)])


@skipUnlessDBFeature("test_db_allows_multiple_connections")
class RaceTests(TransactionTestCase):
    def setUp(self) -> None:
        load_summit()
        self.addCleanup(remove_programme)

    def race(self, *acts: tuple[str, Act]) -> Counter[int]:
        """Have each person, by name, act in a thread of their own; count the answers' statuses."""
        clients = []
        for username, act in acts:
            client = Client(raise_request_exception=False)
            user = get_user_model().objects.get(username=username)
            client.force_login(user, "django.contrib.auth.backends.ModelBackend")
            clients.append((client, act))
        barrier = Barrier(len(clients))

        def run(client: Client, act: Act) -> int:
            try:
                barrier.wait(timeout=60)
                return act(client).status_code
            finally:
                connections.close_all()

        with ThreadPoolExecutor(len(clients)) as pool:
            runs = [pool.submit(run, client, act) for client, act in clients]
            return Counter(future.result(timeout=60) for future in runs)

    def test_one_of_two_sessions_gets_the_place(self) -> None:
        wanted = place("Tideline", 1, "16:20")
        moves = [address("move", title) for title in (PHONES, FONT)]
        statuses = self.race(
            *[("dora", lambda client, to=move: client.post(to, wanted)) for move in moves]
        )
        places = [place_of(PHONES), place_of(FONT)]
        self.assertCountEqual(places, [None, ("Tideline", "Wed 16:20")])
        self.assertEqual(statuses[302], 1, statuses)

    def test_one_person_joins_one_of_two_sessions_at_once(self) -> None:
        joins = [address("join", title) for title in (BUILDS, RISCV)]
        statuses = self.race(*[("fern", lambda client, to=join: client.post(to)) for join in joins])
        self.assertEqual(Attendance.objects.filter(user__username="fern").count(), 1)
        self.assertEqual(statuses[302], 1, statuses)

    def test_who_joins_while_it_moves_is_noted_for_where_it_is(self) -> None:
        wanted = place("Tideline", 1, "16:20")
        move, join = address("move", FONT), address("join", FONT)
        statuses = self.race(
            ("dora", lambda client: client.post(move, wanted)),
            ("fern", lambda client: client.post(join)),
        )
        moved = place_of(FONT) is not None
        attendance = Attendance.objects.filter(session_id=id_of_session(FONT))
        self.assertEqual(
            {attendee.slot_id for attendee in attendance}, {wanted["slot"] if moved else None}
        )
        self.assertGreaterEqual(statuses[302], 1, statuses)
