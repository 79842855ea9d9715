"""What the head of an HTML page says about OpenID (section 7.3.3) and Yadis.

python3-openid's two parsers of HTML search with patterns whose time grows with the square of the
page: 256 KB of ``<!--`` keep a process busy for more than a minute. And some pages make them raise
what no caller expects.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser

# A head that is longer than this, in characters, is no head. It bounds the parser's time.
MAX_HEAD = 64 * 1024


# What is in these is text, or is not for those who run scripts.
INERT = frozenset({"noscript", "template", "title"})


class _HeadEnds(Exception):
    """The rest of the page, which a visitor of that page may have written, does not count."""


@dataclass(frozen=True)
class Head:
    """``xrds_location`` is that of ``<meta http-equiv="X-XRDS-Location">``; ``links`` the first
    address of each ``<link rel>``."""

    xrds_location: str | None = None
    links: dict[str, str] = field(default_factory=dict)


class _HeadParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.xrds_location: str | None = None
        self.links: dict[str, str] = {}
        self.inert: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.inert is not None:
            return
        if tag in INERT:
            self.inert = tag
        values = {name: value.strip() for name, value in reversed(attrs) if value}
        if tag == "body":
            raise _HeadEnds
        if tag == "meta" and values.get("http-equiv", "").lower() == "x-xrds-location":
            self.xrds_location = self.xrds_location or values.get("content")
        elif tag == "link" and "href" in values:
            for relation in values.get("rel", "").lower().split():
                self.links.setdefault(relation, values["href"])

    def handle_endtag(self, tag: str) -> None:
        if self.inert is not None:
            self.inert = None if tag == self.inert else self.inert
        elif tag in ("head", "body", "html"):
            raise _HeadEnds


def read_head(page: str) -> Head:
    """Return what the head of ``page`` says; nothing, if it is no HTML."""
    parser = _HeadParser()
    # AssertionError is the parser's word for a declaration that it does not know.
    with suppress(_HeadEnds, AssertionError):
        # Not close(): it would look for the end of each thing that was left open.
        parser.feed(page[:MAX_HEAD])
    return Head(parser.xrds_location, parser.links)
