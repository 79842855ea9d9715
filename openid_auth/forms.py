"""The form for an identifier that a person types."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from openid_auth.discovery import is_iname
from openid_auth.models import MAX_URL_LENGTH


def refuse_iname(identifier: str) -> None:
    """Raise ValidationError for an i-name: the service that resolved them is gone."""
    if is_iname(identifier):
        raise ValidationError(_("i-names are not supported"))


class OpenIDLoginForm(forms.Form):
    openid_identifier = forms.CharField(
        label=_("Your OpenID"),
        max_length=MAX_URL_LENGTH,
        help_text=_("The address of your identity or of your provider."),
        validators=[refuse_iname],
        widget=forms.TextInput(
            attrs={"inputmode": "url", "autocomplete": "url", "placeholder": "https://"}
        ),
    )
