"""The views and the middleware under ASGI."""

from __future__ import annotations

import time

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import AsyncClient, override_settings
from django.urls import reverse

from openid_auth.models import UserOpenID
from openid_auth.signed_in import SESSION_KEY
from tests.openid_auth.provider import Answer, ProviderBrowser, ProviderTestCase

User = get_user_model()
MIDDLEWARE = [
    "openid_auth.middleware.RealmDiscoveryMiddleware",
    *settings.MIDDLEWARE,
    "openid_auth.middleware.SessionRefreshMiddleware",
]


@override_settings(MIDDLEWARE=MIDDLEWARE)
class AsyncTests(ProviderTestCase):
    async_client: AsyncClient

    async def sign_in_there(self, browser: ProviderBrowser) -> None:
        begun = await self.async_client.post(reverse("openid-login"), {"next": "/?page=2"})
        self.assertEqual(begun.status_code, 302)
        answer = await sync_to_async(browser.answer)(begun["Location"], "ada")
        completed = await self.complete_there(answer)
        self.assertEqual((completed.status_code, completed["Location"]), (302, "/?page=2"))

    async def complete_there(self, answer: Answer) -> object:
        if answer.fields:
            return await self.async_client.post(answer.url, answer.fields)
        return await self.async_client.get(answer.url)

    def grow_old(self) -> None:
        session = self.async_client.session
        session[SESSION_KEY] = {**session[SESSION_KEY], "checked": int(time.time()) - 901}
        session.save()

    async def test_a_person_signs_in(self) -> None:
        await self.sign_in_there(ProviderBrowser())
        page = await self.async_client.get(reverse("whoami"))
        self.assertEqual(page.content, b"ada")
        self.assertEqual(await UserOpenID.objects.acount(), 1)

    async def test_a_session_is_refreshed(self) -> None:
        browser = ProviderBrowser()
        await self.sign_in_there(browser)
        await sync_to_async(self.grow_old)()
        response = await self.async_client.get("/", headers={"Accept": "text/html"})
        self.assertEqual(response.status_code, 302)
        answer = await sync_to_async(browser.request)("GET", response["Location"])
        back = await self.async_client.get(answer.headers["Location"])
        self.assertEqual((back.status_code, back["Location"]), (302, "/"))

    async def test_a_refusal_is_a_page(self) -> None:
        response = await self.async_client.get(reverse("openid-complete"))
        self.assertEqual(response.status_code, 403)

    async def test_the_realm_is_discovered(self) -> None:
        response = await self.async_client.get("/", headers={"Accept": "application/xrds+xml"})
        self.assertEqual(response["Content-Type"], "application/xrds+xml")
