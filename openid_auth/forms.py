"""The form for an identifier that a person types."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from openid_auth.models import MAX_URL_LENGTH


class OpenIDLoginForm(forms.Form):
    openid_identifier = forms.CharField(
        label=_("Your OpenID"),
        max_length=MAX_URL_LENGTH,
        help_text=_("The address of your identity or of your provider."),
        widget=forms.TextInput(
            attrs={"inputmode": "url", "autocomplete": "url", "placeholder": "https://"}
        ),
    )
