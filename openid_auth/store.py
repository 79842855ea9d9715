"""The store of associations and nonces in the database.

It has the interface of ``openid.store.interface.OpenIDStore``.
"""

from __future__ import annotations

import base64
import time

from django.db import IntegrityError, router, transaction
from openid.association import Association as SharedSecret
from openid.store.interface import OpenIDStore

from openid_auth import models
from openid_auth.fields import digest

# How far the provider's clock may be from ours, in seconds, the person's way back included. A
# used nonce has to be remembered for as long; python3-openid's five hours only make the table big.
NONCE_SKEW = 15 * 60
# A provider that gives out associations for longer has them renewed after this, in seconds.
MAX_LIFETIME = 30 * 24 * 60 * 60


def kept_lifetime(association: SharedSecret) -> int:
    """Return for how many seconds to keep ``association``, 0 if its handle is malformed."""
    handle: str = association.handle
    printable = all("!" <= character <= "~" for character in handle)
    if not (0 < len(handle) <= models.MAX_HANDLE_LENGTH and printable):
        return 0
    return min(int(association.lifetime), MAX_LIFETIME)


class DatabaseStore(OpenIDStore):  # type: ignore[misc]
    """Associations and nonces, shared by every process that uses the database."""

    def storeAssociation(self, server_url: str, association: SharedSecret) -> None:
        """Keep ``association``; one whose handle is not as section 8.2.1 says is not kept."""
        handle: str = association.handle
        lifetime = kept_lifetime(association)
        if lifetime <= 0:
            return
        using = router.db_for_write(models.Association)
        with transaction.atomic(using=using):
            models.Association.objects.using(using).update_or_create(
                handle_digest=digest(server_url, handle),
                defaults={
                    "server_url": server_url,
                    "handle": handle,
                    "secret": base64.b64encode(association.secret).decode("ascii"),
                    "issued": int(association.issued),
                    "lifetime": lifetime,
                    "expires": int(association.issued) + lifetime,
                    "assoc_type": association.assoc_type,
                },
            )

    def getAssociation(self, server_url: str, handle: str | None = None) -> SharedSecret | None:
        """Return the association with this handle, or the newest; None if it is unknown or over."""
        found = models.Association.objects.filter(expires__gt=int(time.time()))
        if handle is None:
            found = found.filter(server_url_digest=digest(server_url)).order_by("-issued", "-pk")
        else:
            found = found.filter(handle_digest=digest(server_url, handle))
        row = found.first()
        if row is None:
            return None
        return SharedSecret(
            row.handle, base64.b64decode(row.secret), row.issued, row.lifetime, row.assoc_type
        )

    def removeAssociation(self, server_url: str, handle: str) -> bool:
        """Forget an association; return whether there was one."""
        found = models.Association.objects.filter(handle_digest=digest(server_url, handle))
        count: int = found.delete()[0]
        return count > 0

    def useNonce(self, server_url: str, timestamp: int, salt: str) -> bool:
        """Use a nonce up; return False if it was used before or is out of time (section 11.3).

        The insert is the test: two requests that look first and insert afterwards could both
        find nothing. The savepoint keeps an enclosing transaction usable when it is refused.
        """
        if abs(timestamp - time.time()) > NONCE_SKEW or len(salt) > models.MAX_SALT_LENGTH:
            return False
        using = router.db_for_write(models.Nonce)
        nonce = models.Nonce(server_url=server_url, timestamp=timestamp, salt=salt)
        try:
            with transaction.atomic(using=using):
                nonce.save(using=using, force_insert=True)
        except IntegrityError:
            return False
        return True

    def cleanupNonces(self) -> int:
        """Forget the nonces that are out of time anyway; return how many."""
        over = models.Nonce.objects.filter(timestamp__lt=int(time.time()) - NONCE_SKEW)
        count: int = over.delete()[0]
        return count

    def cleanupAssociations(self) -> int:
        """Forget the associations that are over; return how many."""
        over = models.Association.objects.filter(expires__lte=int(time.time()))
        count: int = over.delete()[0]
        return count
