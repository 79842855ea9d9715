"""The settings that the README shows work as they stand, and the links lead somewhere."""

import re
import tempfile
from pathlib import Path

from django.test import SimpleTestCase, tag

from tests.project import ROOT, django_admin

README_URI = "postgres://user:secret@localhost/mydb?isolation=read-committed"

# What `django-admin startproject` writes, as far as it matters here.
BEFORE = """
SECRET_KEY = "of a test"
DEBUG = True
USE_TZ = True
ROOT_URLCONF = "urls"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
"""
URLS = """
from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
"""
TESTS = """
from django.contrib.auth.models import User
from django.test import TestCase
from storm_django import get_store

class ProjectTests(TestCase):
    def test_storm_sees_what_django_wrote(self):
        User.objects.create_user("ada")
        rows = get_store("main").execute("SELECT username FROM auth_user")
        self.assertEqual(rows.get_all(), [("ada",)])

    def test_the_sign_in_page_is_there(self):
        self.assertEqual(self.client.get("/openid/login/").status_code, 200)
"""


@tag("once")
class LinkTests(SimpleTestCase):
    def test_each_link_to_a_file_leads_to_one(self) -> None:
        pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
        lost = [
            f"{page.relative_to(ROOT)}: {target}"
            for page in pages
            for target in re.findall(r"\]\(([^)#\s]+)", page.read_text())
            if "://" not in target and not (page.parent / target).exists()
        ]
        self.assertEqual(lost, [])


@tag("once")
class ReadmeTests(SimpleTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
        settings = [block for block in blocks if "INSTALLED_APPS +=" in block]
        urls = [block for block in blocks if "urlpatterns +=" in block]
        self.assertEqual((len(settings), len(urls)), (3, 1), "what the README shows")
        text = "".join(settings)
        self.assertIn(README_URI, text)
        text = text.replace(README_URI, f"sqlite:{self.folder / 'mydb.sqlite3'}")
        self.write("settings.py", BEFORE + text)
        self.write("urls.py", URLS + "".join(urls))
        self.write("tests.py", TESTS)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def manage(self, *arguments: str) -> str:
        done = django_admin(self.folder, *arguments, DJANGO_SUPERUSER_PASSWORD="secret")
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_a_new_project_with_the_settings_passes_the_checks(self) -> None:
        self.manage("check", "--fail-level", "WARNING")

    def test_a_new_project_with_the_settings_makes_its_tables_and_a_superuser(self) -> None:
        self.manage("migrate", "--verbosity", "0")
        output = self.manage(
            "createsuperuser", "--noinput", "--username", "root", "--email", "root@example.org"
        )
        self.assertIn("Superuser created", output)

    def test_a_new_project_with_the_settings_can_test(self) -> None:
        self.assertIn("Ran 2 tests", self.manage("test", "--noinput", "tests"))
