"""Which identity belongs to which account, and what the protocol has to remember."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.db import models, router, transaction
from django.utils.translation import gettext_lazy as _

from openid_auth.fields import DigestField, digest

# OpenID 2.0 appendix A.2 has no limit; browsers and OpenID 1.1 appendix D do.
MAX_URL_LENGTH = 2047
# OpenID 2.0 section 8.2.1.
MAX_HANDLE_LENGTH = 255
# OpenID 2.0 section 10.1. The first 20 characters of a nonce are its time.
MAX_NONCE_LENGTH = 255
MAX_SALT_LENGTH = MAX_NONCE_LENGTH - 20


class UserOpenIDManager(models.Manager["UserOpenID"]):
    def for_claimed_id(self, claimed_id: str) -> UserOpenID | None:
        """Return the identity with exactly this claimed identifier and its user, or None."""
        found = self.filter(claimed_id_digest=digest(claimed_id)).select_related("user").first()
        # A row changed by QuerySet.update() has the digest of its former identifier.
        return found if found is not None and found.claimed_id == claimed_id else None


class UserOpenID(models.Model):
    """An OpenID identity that signs in to an account. An account may have several."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, verbose_name=_("user")
    )
    claimed_id = models.TextField(_("claimed identifier"), max_length=MAX_URL_LENGTH)
    claimed_id_digest = DigestField(sources=("claimed_id",), unique=True)
    display_id = models.TextField(_("display identifier"), max_length=MAX_URL_LENGTH)

    objects = UserOpenIDManager()

    class Meta:
        verbose_name = _("OpenID identity")
        verbose_name_plural = _("OpenID identities")
        permissions = (("account_verified", "The OpenID has been verified"),)

    def __str__(self) -> str:
        return self.display_id or self.claimed_id

    def clean(self) -> None:
        other = UserOpenID.objects.for_claimed_id(self.claimed_id)
        if other is not None and other.pk != self.pk:
            raise ValidationError({"claimed_id": _("Another account has this identity.")})

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the identity, and with the last one what only an identity can vouch for."""
        using = kwargs.get("using") or router.db_for_write(UserOpenID, instance=self)
        with transaction.atomic(using=using):
            deleted = super().delete(*args, **kwargs)
            permissions = getattr(self.user, "user_permissions", None)
            if permissions is not None and not UserOpenID.objects.filter(user=self.user).exists():
                permissions.remove(*account_verified_permissions())
        return deleted


def account_verified_permissions() -> models.QuerySet[Permission]:
    """Return the permission ``openid_auth.account_verified`` (none before ``migrate``)."""
    found: models.QuerySet[Permission] = Permission.objects.filter(
        content_type__app_label="openid_auth",
        content_type__model="useropenid",
        codename="account_verified",
    )
    return found


class Association(models.Model):
    """A secret shared with a provider (OpenID 2.0 section 8)."""

    server_url = models.TextField(_("endpoint"), max_length=MAX_URL_LENGTH)
    server_url_digest = DigestField(sources=("server_url",), db_index=True)
    handle = models.CharField(_("handle"), max_length=MAX_HANDLE_LENGTH)
    handle_digest = DigestField(sources=("server_url", "handle"), unique=True)
    secret = models.CharField(_("secret, in base 64"), max_length=255)
    issued = models.BigIntegerField(_("issued, in seconds since 1970"))
    lifetime = models.BigIntegerField(_("lifetime, in seconds"))
    expires = models.BigIntegerField(_("expires, in seconds since 1970"), db_index=True)
    assoc_type = models.CharField(_("type"), max_length=64)

    class Meta:
        verbose_name = _("association")
        verbose_name_plural = _("associations")

    def __str__(self) -> str:
        return f"{self.server_url} {self.handle}"


class Nonce(models.Model):
    """A nonce that was used (OpenID 2.0 section 11.3). The database lets each in once."""

    server_url = models.TextField(_("endpoint"), max_length=MAX_URL_LENGTH)
    timestamp = models.BigIntegerField(_("time, in seconds since 1970"), db_index=True)
    salt = models.CharField(_("salt"), max_length=MAX_SALT_LENGTH)
    nonce_digest = DigestField(sources=("server_url", "timestamp", "salt"), unique=True)

    class Meta:
        verbose_name = _("used nonce")
        verbose_name_plural = _("used nonces")

    def __str__(self) -> str:
        return f"{self.server_url} {self.timestamp}{self.salt}"
