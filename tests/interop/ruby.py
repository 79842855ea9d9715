"""ruby-openid's provider, in a process of its own, for the tests of this package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from tests.openid_auth.provider import Answer, FormParser
from tests.vendors import required

SCRIPT = Path(__file__).with_name("provider.rb")
LIBRARIES = ("openid", "webrick")
HINT = "apt install ruby-openid ruby-webrick"


def missing(path: str | None = None) -> str | None:
    """Return why the provider cannot run here, None if it can. ``path`` is as PATH."""
    ruby = shutil.which("ruby", path=path)
    if ruby is None:
        return f"no ruby found ({HINT})"
    for library in LIBRARIES:
        done = subprocess.run([ruby, "-W0", "-e", f"require '{library}'"], capture_output=True)
        if done.returncode:
            return f"ruby has no library {library!r} ({HINT})"
    return None


def is_required() -> bool:
    """Say whether TEST_REQUIRE makes it a failure that the provider cannot run."""
    return "interop" in required()


class RubyProvider:
    """The provider on a free port of 127.0.0.1, from ``start()`` to ``stop()``."""

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["ruby", "-W0", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        word, _, port = self.process.stdout.readline().partition(" ")
        if word != "port":
            raise RuntimeError(f"{SCRIPT.name} ended with status {self.process.wait()}")
        self.root = f"http://127.0.0.1:{int(port)}"
        self.http = urllib3.PoolManager(retries=False)

    def stop(self) -> None:
        self.http.clear()
        self.process.communicate()  # closes its input, which ends it

    def url(self, kind: str) -> str:
        """Return the OP identifier of ``kind``, which says what associations there are."""
        return f"{self.root}/{kind}/"

    def identity(self, kind: str, name: str) -> str:
        return f"{self.root}/{kind}/id/{name}"

    def forget(self) -> None:
        """Make it forget its associations, as a restart would."""
        assert self.http.request("POST", f"{self.root}/forget").status == 200

    def answer(self, url: str, identity: str = "ada", decision: str = "approve") -> Answer:
        """Go to ``url`` as the person's browser, ``""`` being nobody, and return the answer."""
        decided = urlencode({"identity": identity, "decision": decision})
        response: Any = self.http.request("GET", f"{url}&{decided}", redirect=False)
        if response.status == 302:
            return Answer(response.headers["Location"])
        assert response.status == 200, response.data
        form = FormParser(response.data.decode())
        return Answer(form.action, form.fields)
