"""``OPENID_USE_AS_ADMIN_LOGIN``: the admin's sign-in leads to the page of this package."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from openid_auth.conf import conf
from openid_auth.exceptions import AdminAccessRequired
from openid_auth.redirects import safe_next

Login = Callable[..., HttpResponseBase]


def install() -> None:
    """Let every admin site that keeps Django's ``login`` follow the setting.

    The class is changed, as django-openid-auth did it, so that a site that moves from there need
    not replace its ``admin.site``. The setting is read at each request.
    """
    AdminSite.login = _follow_setting(AdminSite.login)  # type: ignore[assignment, method-assign]


def _follow_setting(django_login: Login) -> Login:
    @wraps(django_login)
    def login(site: AdminSite, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not conf.OPENID_USE_AS_ADMIN_LOGIN or site.has_permission(request):
            return django_login(site, request, *args, **kwargs)
        if request.user.is_authenticated:
            # Not at the top: it takes the library along, which a command has no use for.
            from openid_auth.base_views import OpenIDView

            # Not to the sign-in page: a provider that still knows the person would send them here
            # again, and so on.
            error = AdminAccessRequired(request.user.get_username())
            return OpenIDView().render_refusal(request, error)
        asked = safe_next(request, request.GET.get(REDIRECT_FIELD_NAME, ""))
        next = asked or reverse("admin:index", current_app=site.name)
        query = urlencode({REDIRECT_FIELD_NAME: next})
        return HttpResponseRedirect(f"{reverse('openid-login')}?{query}")

    return login
