"""The pages in another language."""

from __future__ import annotations

import gettext
import re
from pathlib import Path

from django.test import SimpleTestCase, override_settings
from django.urls import reverse
from django.utils import translation

import openid_auth
from openid_auth.exceptions import TeamRequired
from tests.openid_auth.provider import ProviderTestCase

LOCALE = Path(openid_auth.__file__).parent / "locale"


class CatalogueTests(SimpleTestCase):
    def test_the_compiled_catalogue_is_that_of_the_source(self) -> None:
        folder = LOCALE / "de" / "LC_MESSAGES"
        source = dict(
            re.findall(r'^msgid "(.+)"\nmsgstr "(.*)"$', (folder / "django.po").read_text(), re.M)
        )
        with (folder / "django.mo").open("rb") as compiled:
            catalogue = gettext.GNUTranslations(compiled)
        self.assertGreater(len(source), 80)
        for message, translated in source.items():
            self.assertTrue(translated, message)
            self.assertEqual(catalogue.gettext(message), translated)
            # The same places for values in both.
            places = [re.findall(r"%\(\w+\)s", text) for text in (message, translated)]
            self.assertEqual(*places, message)

    def test_a_refusal_speaks_the_language_of_the_visitor(self) -> None:
        with translation.override("de"):
            error = TeamRequired(("drivers",))
            self.assertIn("Nur Mitglieder dieser Teams", str(error))
            self.assertIn("aufzunehmen", str(error.advice))


class PageTests(ProviderTestCase):
    def test_the_sign_in_page(self) -> None:
        with override_settings(LANGUAGE_CODE="de"), translation.override("de"):
            page = self.client.get(reverse("openid-login"))
        self.assertContains(page, '<html lang="de">')
        self.assertContains(page, "Mit OpenID anmelden")
