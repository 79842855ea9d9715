"""A real Chromium in front of the example site and its OpenID provider, all on loopback."""

import shutil
import tempfile
import unittest
from typing import Any, ClassVar

from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from django.test import override_settings, tag
from django.urls import reverse

from example_site.provider.server import ProviderServer
from tests.example_site.summit import load_summit, remove_programme
from tests.vendors import CHROMIUM

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.remote.webelement import WebElement
    from selenium.webdriver.support.ui import Select, WebDriverWait
except ImportError as error:
    raise unittest.SkipTest(f"selenium cannot be imported ({error})") from error

PATIENCE = 20  # seconds, for a page to come
PHONE = 390  # CSS pixels
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",  # so that it runs as root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,1000",
]
_ALLOW, _BLOCK = 1, 2  # Chromium's content settings


@tag("browser")
class BrowserTestCase(StaticLiveServerTestCase):
    """A test with a browser, the small summit of the tests, and a provider.

    Site and provider are on the same address, and so on the same site, with different ports.
    """

    host = "127.0.0.1"
    javascript: ClassVar[bool] = True
    browser: ClassVar[webdriver.Chrome]
    provider: ClassVar[ProviderServer]

    @classmethod
    def setUpClass(cls) -> None:
        cls.provider = ProviderServer()
        cls.provider.start()
        cls.addClassCleanup(cls.provider.stop)
        settings = override_settings(OPENID_SSO_SERVER_URL=cls.provider.url)
        settings.enable()
        cls.addClassCleanup(settings.disable)
        super().setUpClass()
        cls.browser = cls._start_browser()
        cls.addClassCleanup(cls.browser.quit)

    @classmethod
    def _start_browser(cls) -> webdriver.Chrome:
        profile = tempfile.mkdtemp(prefix="storm-django-browser-")
        cls.addClassCleanup(shutil.rmtree, profile, ignore_errors=True)
        options = webdriver.ChromeOptions()
        options.binary_location = next(filter(None, map(shutil.which, CHROMIUM)))
        for argument in [*ARGUMENTS, f"--user-data-dir={profile}"]:
            options.add_argument(argument)
        options.add_experimental_option(
            "prefs",
            {
                "profile.managed_default_content_settings.javascript": (
                    _ALLOW if cls.javascript else _BLOCK
                )
            },
        )
        return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))

    def setUp(self) -> None:
        super().setUp()
        load_summit()
        self.addCleanup(remove_programme)
        self.browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.browser.get_log("browser")  # what earlier tests left there
        self.addCleanup(self._check_log)

    def _check_log(self) -> None:
        """Fail if a page wanted what its Content-Security-Policy forbids, or names no icon."""
        log = [entry["message"] for entry in self.browser.get_log("browser")]
        complaints = ("Content Security Policy", "favicon.ico")
        self.assertEqual([line for line in log if any(words in line for words in complaints)], [])

    def open(self, name: str, *args: Any) -> None:
        """Go to the page whose address is called *name*."""
        self.browser.get(self.live_server_url + reverse(name, args=args))

    def find(self, selector: str) -> WebElement:
        """The first element that matches a CSS selector."""
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def press(self, selector: str) -> None:
        """Click on a button or link, and wait for the page behind it."""
        self._press(self.find(selector))

    def press_words(self, words: str) -> None:
        """Press the button with these words on it."""
        buttons = self.browser.find_elements(By.XPATH, f"//button[normalize-space()='{words}']")
        self.assertEqual(len(buttons), 1, f"buttons with {words!r} on {self.browser.current_url}")
        self._press(buttons[0])

    def _press(self, element: WebElement) -> None:
        before = self._document()
        element.click()
        WebDriverWait(self.browser, PATIENCE, poll_frequency=0.05).until(
            lambda browser: (
                self._document() != before
                and browser.execute_script("return document.readyState") == "complete"
            )
        )

    def _document(self) -> str:
        """What Chromium calls the document that it shows: each load of a page has its own."""
        tree = self.browser.execute_cdp_cmd("Page.getFrameTree", {})
        return tree["frameTree"]["frame"]["loaderId"]

    def choose(self, name: str, value: object) -> None:
        """Choose the option with a value in the select field called *name*."""
        Select(self.find(f"select[name={name}]")).select_by_value(str(value))

    def write(self, name: str, text: str) -> None:
        """Type into the field called *name*."""
        self.find(f"[name={name}]").send_keys(text)

    def use_phone(self) -> None:
        """Make the window as wide as a phone, until the test ends."""
        self.browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": PHONE, "height": 844, "deviceScaleFactor": 1, "mobile": False},
        )
        self.addCleanup(self.browser.execute_cdp_cmd, "Emulation.clearDeviceMetricsOverride", {})

    def assert_fits_phone(self) -> None:
        """Fail if people would have to scroll sideways."""
        metrics = self.browser.execute_cdp_cmd("Page.getLayoutMetrics", {})
        self.assertLessEqual(metrics["cssContentSize"]["width"], PHONE)

    @property
    def text(self) -> str:
        """The words of the page's main part, as people see them."""
        return self.find("main").text

    def sign_in(self, person: str) -> None:
        """Sign in as one of the provider's people, from the schedule and back to it."""
        self.open("schedule")
        self.press(".visitor a.button")
        self.pass_provider(person)
        self.assertEqual(self.browser.current_url, self.live_server_url + reverse("schedule"))

    def pass_provider(self, person: str) -> None:
        """From the sign-in page, go to the provider, approve as one of its people, and return."""
        self.press("main form button")
        self.approve_as(person)

    def approve_as(self, person: str) -> None:
        """At the provider, approve as one of its people, and return."""
        self.assertFalse(self.browser.current_url.startswith(self.live_server_url))
        self.find(f"input[value={person}]").click()
        self.press("[name=approve]")
        self.assertTrue(self.browser.current_url.startswith(self.live_server_url))
