"""A column that holds the digest of other columns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
else:
    _CharField = models.CharField


def digest(*values: object) -> str:
    """Return the SHA-256 of ``values`` as 64 hexadecimal digits; the split between them counts."""
    sha256 = hashlib.sha256()
    for value in values:
        encoded = str(value).encode("utf-8", "surrogatepass")
        sha256.update(b"%d:%b" % (len(encoded), encoded))
    return sha256.hexdigest()


class DigestField(_CharField):
    """The digest of the columns named in ``sources``, computed whenever the row is written.

    Identifiers and endpoint URLs can be 2047 characters long, more than MariaDB can index, and
    its usual collations take ``/Alice`` and ``/alice`` for equal. A digest is short, and equal
    only when every byte is.
    """

    def __init__(self, *, sources: Sequence[str] = (), **kwargs: Any) -> None:
        self.sources = tuple(sources)
        kwargs["max_length"] = 64
        kwargs["editable"] = False
        super().__init__(**kwargs)

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_length"], kwargs["editable"]
        return name, path, args, kwargs | {"sources": self.sources}

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        value = digest(*(getattr(model_instance, source) for source in self.sources))
        setattr(model_instance, self.attname, value)
        return value
