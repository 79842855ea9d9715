"""An admin site for the library, and its URLs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import path

from storm_django.admin import StormAdmin, register
from storm_django.mirror import registered
from tests.storm_django.library import Book, Hall, Label, Sample, Shelf

site = admin.AdminSite()  # named "admin"

register(Hall, Label, Sample, site=site)


@register(Book, Shelf, site=site, list_per_page=5)
class LibraryAdmin(StormAdmin):
    """Both: the book refers to the shelf that is registered after it."""


@admin.display(description="how thick")
def thick(book: Any) -> str:
    return str(book.thickness)


other = admin.AdminSite(name="other")


@register(Book, site=other)
class BookAdmin(StormAdmin):
    """Everything that a ModelAdmin has."""

    list_display = ["title", "shelf", "thickness", "summary", thick, "kind", "opens"]
    list_editable = ["kind"]
    list_filter = ["lent", "kind", "printed", "opens", "shelf"]
    search_fields = ["title", "shelf__name"]
    date_hierarchy = "opens"
    readonly_fields = ["thickness"]
    autocomplete_fields = ["shelf"]
    exclude = ["blurb"]

    def make_object(self, form: Any) -> Book:
        return Book.made()


class BookInline(admin.TabularInline):
    """Books on the page of their shelf."""

    model = registered(Book)
    fields = ["title", "pages"]
    extra = 1


@register(Shelf, site=other)
class ShelfAdmin(StormAdmin):
    """Searched by the autocompletion of books."""

    search_fields = ["name"]
    inlines = [BookInline]


urlpatterns = [path("library/", site.urls), path("other/", other.urls)]
