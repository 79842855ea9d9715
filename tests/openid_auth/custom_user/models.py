"""Two user models: one with another key and name, one without groups, permissions and staff."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models


class PersonManager(BaseUserManager["Person"]):
    def create_user(
        self, handle: str, mail: str = "", password: str | None = None, **fields: Any
    ) -> Person:
        person = self.model(handle=handle, mail=mail, **fields)
        person.set_password(password)
        person.save()
        return person


class Person(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    handle = models.CharField(max_length=6, unique=True, validators=[RegexValidator("^[a-z0-9]+$")])
    mail = models.EmailField(blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)

    objects = PersonManager()

    USERNAME_FIELD = "handle"
    EMAIL_FIELD = "mail"


class MemberManager(BaseUserManager["Member"]):
    def create_user(self, email: str, password: str | None = None) -> Member:
        member = self.model(email=email)
        member.set_password(password)
        member.save()
        return member


class Member(AbstractBaseUser):
    email = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True)

    objects = MemberManager()

    USERNAME_FIELD = "email"
