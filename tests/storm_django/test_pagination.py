"""Storm's result sets in Django's paginator, in templates too."""

from __future__ import annotations

import warnings

from django.core.paginator import EmptyPage, Paginator, UnorderedObjectListWarning
from django.template import Context, Engine
from django.test import TestCase
from storm.expr import Alias, Count, Desc
from storm.locals import ReferenceSet
from storm.store import EmptyResultSet, ResultSet

from storm_django import get_store
from storm_django.pagination import StormPaginator
from tests.storm_django.models import Entry, StormEntry, StormTyped
from tests.storm_django.statements import statements


class OrderedEntry(StormEntry):
    """The same table, with an order of the class."""

    __storm_order__ = "-position"


class OwnerTyped(StormTyped):
    """An object with a set of others."""

    entries = ReferenceSet(StormTyped.text, StormEntry.name, order_by=StormEntry.position)


class PaginatorTest(TestCase):
    def setUp(self) -> None:
        self.store = get_store()
        for position in range(1, 12):
            self.store.add(StormEntry("odd" if position % 2 else "even", position))

    def entries(self) -> ResultSet:
        return self.store.find(StormEntry).order_by(StormEntry.position)

    def positions(self, page: object) -> list[int]:
        return [entry.position for entry in page]  # type: ignore[attr-defined]

    def test_the_pages_are_those_of_djangos_paginator_over_the_same_rows(self) -> None:
        queryset = Entry.objects.order_by("position")
        for per_page, orphans in [(1, 0), (3, 0), (5, 1), (4, 3), (11, 0), (12, 0)]:
            with self.subTest(per_page=per_page, orphans=orphans):
                ours = StormPaginator(self.entries(), per_page, orphans)
                djangos = Paginator(queryset, per_page, orphans)
                self.assertEqual((ours.count, ours.num_pages), (djangos.count, djangos.num_pages))
                self.assertEqual(
                    [(self.positions(page), page.start_index(), page.end_index()) for page in ours],
                    [
                        (self.positions(page), page.start_index(), page.end_index())
                        for page in djangos
                    ],
                )

    def test_the_count_is_one_statement_and_a_page_one(self) -> None:
        found = self.entries()
        with statements() as executed:
            paginator = StormPaginator(found, 4)
        self.assertEqual(executed, [])
        with statements() as executed:
            paginator.count, paginator.num_pages, list(paginator.page_range)
        self.assertEqual(len(executed), 1)
        self.assertIn("COUNT", executed[0])
        with statements() as executed:
            page = paginator.page(2)
            self.assertEqual((len(page), page[0].position, page[-1].position), (4, 5, 8))
            self.assertEqual((self.positions(page), self.positions(page)), ([5, 6, 7, 8],) * 2)
        self.assertEqual(len(executed), 1)
        self.assertIn("LIMIT 4 OFFSET 4", executed[0])

    def test_a_page_that_is_not_there_is_an_empty_page(self) -> None:
        paginator = StormPaginator(self.entries(), 4)
        for number in (0, -1, 4, 10**30):
            with self.subTest(number), self.assertRaises(EmptyPage):
                paginator.page(number)
        self.assertEqual(paginator.get_page("none").number, 1)
        self.assertEqual(paginator.get_page(99).number, 3)

    def test_nothing_found_is_one_empty_page(self) -> None:
        for found in (self.entries().find(name="none"), EmptyResultSet(), []):
            with self.subTest(type(found).__name__):
                page = StormPaginator(found, 4).page(1)
                self.assertEqual((list(page), len(page), page.has_other_pages()), ([], 0, False))
                with self.assertRaises(EmptyPage):
                    StormPaginator(found, 4, allow_empty_first_page=False).page(1)

    def test_a_page_of_nothing_costs_no_statement_but_the_count(self) -> None:
        found = self.entries().find(name="none")
        with statements() as executed:
            StormPaginator(found, 4).page(1)
        self.assertEqual(len(executed), 1)

    def test_the_range_can_be_elided(self) -> None:
        paginator = StormPaginator(self.entries(), 1)
        shown = paginator.get_elided_page_range(6, on_each_side=1, on_ends=1)
        self.assertEqual([str(part) for part in shown], ["1", "…", "5", "6", "7", "…", "11"])

    def test_a_template_loops_over_a_page(self) -> None:
        template = Engine().from_string(
            "{{ page|length }} of {{ page.paginator.count }}:"
            "{% for entry in page %} {{ entry.position }}{% empty %} none{% endfor %};"
            "{% if page.has_next %} next {{ page.next_page_number }}{% endif %}"
        )
        page = StormPaginator(self.entries(), 4).page(1)
        self.assertEqual(template.render(Context({"page": page})), "4 of 11: 1 2 3 4; next 2")
        empty = StormPaginator(self.entries().find(name="none"), 4).page(1)
        self.assertEqual(template.render(Context({"page": empty})), "0 of 0: none;")

    def test_a_template_loops_over_a_result_set(self) -> None:
        template = Engine().from_string(
            "{% for entry in found %}{{ forloop.counter }}/{{ forloop.revcounter }}:"
            "{{ entry.name }} {% empty %}none{% endfor %}"
        )
        found = self.entries()[:2]
        with statements() as executed:
            shown = template.render(Context({"found": found}))
        self.assertEqual((shown, len(executed)), ("1/2:odd 2/1:even ", 1))
        shown = template.render(Context({"found": EmptyResultSet()}))
        self.assertEqual(shown, "none")

    def test_a_result_set_without_an_order_is_warned_about_where_it_is_used(self) -> None:
        with self.assertWarns(UnorderedObjectListWarning) as caught:
            StormPaginator(self.store.find(StormEntry), 4)
        self.assertEqual(caught.filename, __file__)
        self.assertIn("order_by()", str(caught.warning))

    def test_an_order_of_the_query_of_the_class_or_of_a_list_is_not_warned_about(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            StormPaginator(self.entries(), 4)
            StormPaginator(EmptyResultSet(), 4)
            StormPaginator([], 4)
            page = StormPaginator(self.store.find(OrderedEntry), 4).page(1)
        self.assertEqual(self.positions(page), [11, 10, 9, 8])

    def test_a_queryset_of_django_is_paginated_as_before(self) -> None:
        with self.assertWarns(UnorderedObjectListWarning):
            StormPaginator(Entry.objects.all(), 4)
        page = StormPaginator(Entry.objects.order_by("position"), 4).page(3)
        self.assertEqual(self.positions(page), [9, 10, 11])

    def test_a_slice_is_paginated_within_its_bounds(self) -> None:
        pages = list(StormPaginator(self.entries()[2:9], 4))
        self.assertEqual([self.positions(page) for page in pages], [[3, 4, 5, 6], [7, 8, 9]])

    def test_a_reference_set_is_paginated(self) -> None:
        owner = self.store.add(OwnerTyped())
        owner.text = "odd"
        pages = list(StormPaginator(owner.entries, 4))
        self.assertEqual([self.positions(page) for page in pages], [[1, 3, 5, 7], [9, 11]])

    def test_distinct_rows_are_counted_once(self) -> None:
        found = self.store.find(StormEntry.name).config(distinct=True).order_by(StormEntry.name)
        paginator = StormPaginator(found, 1)
        with statements() as executed:
            self.assertEqual((paginator.count, list(paginator.page(2))), (2, ["odd"]))
        self.assertNotIn("ORDER BY", executed[0])  # the order of what is counted is idle

    def test_groups_are_counted_not_their_rows(self) -> None:
        found = self.store.find((StormEntry.name, Count(StormEntry.id))).group_by(StormEntry.name)
        paginator = StormPaginator(found.order_by(StormEntry.name), 10)
        self.assertEqual((paginator.count, list(paginator.page(1))), (2, [("even", 5), ("odd", 6)]))
        found.having(Count(StormEntry.id) > 5)
        self.assertEqual(StormPaginator(found, 10).count, 1)
        self.assertEqual(StormPaginator(found[1:], 10).count, 0)

    def test_groups_can_be_ordered_by_what_was_counted(self) -> None:
        number = Alias(Count(StormEntry.id), "number")
        found = self.store.find((StormEntry.name, number)).group_by(StormEntry.name)
        paginator = StormPaginator(found.order_by(Desc(number)), 1)
        self.assertEqual((paginator.count, list(paginator.page(1))), (2, [("odd", 6)]))

    def test_tuples_of_classes_are_counted_and_found(self) -> None:
        typed = self.store.add(StormTyped())
        typed.text = "even"
        found = self.store.find((StormEntry, StormTyped), StormEntry.name == StormTyped.text)
        found.order_by(StormEntry.position)
        for distinct in (False, True):
            with self.subTest(distinct=distinct):
                # Both classes have a column "id". PostgreSQL compares no JSON for DISTINCT.
                if distinct:
                    found = self.store.find(
                        (StormEntry.id, StormTyped.id), StormEntry.name == StormTyped.text
                    ).order_by(StormEntry.id)
                paginator = StormPaginator(found.config(distinct=distinct), 3)
                self.assertEqual((paginator.count, len(paginator.page(2))), (5, 2))

    def test_a_union_is_counted_and_sliced(self) -> None:
        few = self.store.find(StormEntry, StormEntry.position <= 3)
        more = self.store.find(StormEntry, StormEntry.position <= 5)
        both = few.union(more).order_by(StormEntry.position)
        paginator = StormPaginator(both, 3)
        self.assertEqual(paginator.count, 5)
        self.assertEqual([self.positions(page) for page in paginator], [[1, 2, 3], [4, 5]])
        self.assertEqual(StormPaginator(both[1:4], 3).count, 3)
        twice = few.union(more, all=True).order_by(StormEntry.position)
        self.assertEqual(StormPaginator(twice, 3).count, 8)

    def test_a_union_of_columns_of_two_classes_counts_the_rows_of_both(self) -> None:
        for text in ("odd", "other"):
            self.store.add(StormTyped()).text = text
        names = self.store.find(StormEntry.name).union(self.store.find(StormTyped.text))
        names.order_by(StormEntry.name)
        self.assertEqual(StormPaginator(names, 10).count, 3)

    def test_counting_leaves_the_result_set_as_it_was(self) -> None:
        few = self.store.find(StormEntry, StormEntry.position <= 3)
        found = few.union(self.entries()).order_by(Desc(StormEntry.position))
        before = self.positions(found)
        StormPaginator(found, 3).count  # noqa: B018
        self.assertEqual(self.positions(found), before)
        self.assertEqual(before[0], 11)

    def test_the_rows_of_either_mapper_are_counted(self) -> None:
        Entry.objects.create(name="django", position=12)
        self.store.add(StormEntry("storm", 13))
        self.assertEqual(StormPaginator(self.entries(), 5).count, 13)
