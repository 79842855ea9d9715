"""The authentication backend: from a verified assertion to an account."""

from __future__ import annotations

import re
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_backends, get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, router, transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from openid_auth.assertion import Assertion
from openid_auth.conf import conf
from openid_auth.details import UserDetails, read_details
from openid_auth.exceptions import (
    AccountDisabled,
    IdentityAlreadyClaimed,
    MissingPhysicalMultiFactor,
    RequiredAttributeNotReturned,
    TeamRequired,
    UnknownIdentity,
)
from openid_auth.extensions import pape, teams
from openid_auth.memberships import staff_status, update_groups
from openid_auth.models import UserOpenID, account_verified_permissions
from openid_auth.providers import Claim
from openid_auth.usernames import choose_username, username_field


class OpenIDBackend(ModelBackend):
    """Signs a person in with a verified assertion. Each decision is a method to override.

    It is a ``ModelBackend`` for what that says about permissions and about inactive users, who
    lose their session; passwords it does not take.
    """

    def authenticate(  # type: ignore[override]
        self, request: HttpRequest | None, openid_response: Assertion | None = None
    ) -> AbstractBaseUser | None:
        """Return the account of the identity, created or brought up to date.

        None if ``openid_response`` is no verified assertion. Every check is made before the first
        write, and the writes are one transaction: a refused login changes nothing. Raises a
        DjangoOpenIDException that says why.
        """
        if not isinstance(openid_response, Assertion):
            return None
        try:
            return self.sign_in(openid_response)
        except IntegrityError:
            # Another request took the same name, or created the account of the same identity,
            # between our look and our write. Now there is something to see.
            return self.sign_in(openid_response)

    async def aauthenticate(  # type: ignore[override]
        self, request: HttpRequest | None, openid_response: Assertion | None = None
    ) -> AbstractBaseUser | None:
        """Do as ``authenticate``, from asynchronous code."""
        return await sync_to_async(self.authenticate)(request, openid_response)

    def sign_in(self, assertion: Assertion) -> AbstractBaseUser:
        """Check everything, then create or update the account, in one transaction."""
        details = self.get_user_details(assertion)
        is_member = self.get_teams(assertion)
        with transaction.atomic(using=router.db_for_write(UserOpenID)):
            user = self.find_user(assertion)
            self.check_allowed(assertion, user, details, is_member)
            if user is None:
                user = self.create_user(assertion, details)
                self.update_user_details(user, details, created=True)
            elif conf.OPENID_UPDATE_DETAILS_FROM_SREG:
                self.update_user_details(user, details)
            if is_member is not None:
                self.update_memberships(user, is_member)
        return user

    def get_user_details(self, assertion: Assertion) -> UserDetails:
        """Return what the assertion says about the person and is trusted to say."""
        return read_details(assertion)

    def get_teams(self, assertion: Assertion) -> frozenset[str] | None:
        """Return the person's teams, None if the provider is not trusted for teams."""
        if not assertion.provider.is_trusted_for(Claim.TEAMS):
            return None
        return teams.read(assertion)

    def find_user(self, assertion: Assertion) -> AbstractBaseUser | None:
        """Return the account that the identity is linked to, or None."""
        identity = UserOpenID.objects.for_claimed_id(assertion.identity_url)
        return None if identity is None else identity.user

    def check_allowed(
        self,
        assertion: Assertion,
        user: AbstractBaseUser | None,
        details: UserDetails,
        is_member: frozenset[str] | None,
    ) -> None:
        """Raise a DjangoOpenIDException unless the person may sign in; write nothing.

        ``user`` is None if an account has to be created.
        """
        self.check_multifactor(assertion)
        self.check_teams(details, is_member or frozenset())
        if user is None:
            if not conf.OPENID_CREATE_USERS:
                raise UnknownIdentity
            self.check_required_fields(details)
        elif not self.user_can_authenticate(user):  # type: ignore[arg-type] # any user model
            raise AccountDisabled

    def check_multifactor(self, assertion: Assertion) -> None:
        """Raise MissingPhysicalMultiFactor if one is required and nobody trusted vouches for it."""
        if not conf.OPENID_PHYSICAL_MULTIFACTOR_REQUIRED:
            return
        trusted = assertion.provider.is_trusted_for(Claim.MULTIFACTOR)
        if not trusted or pape.MULTI_FACTOR_PHYSICAL not in pape.read(assertion):
            raise MissingPhysicalMultiFactor

    def check_teams(self, details: UserDetails, is_member: frozenset[str]) -> None:
        """Raise TeamRequired unless the person is in a required team or is excepted by email."""
        required = conf.OPENID_LAUNCHPAD_TEAMS_REQUIRED
        if not required or not is_member.isdisjoint(required):
            return
        # fullmatch: "ann@example.com" must not let "ann@example.com.evil.example" in.
        patterns = conf.OPENID_EMAIL_WHITELIST_REGEXP_LIST
        if details.email and any(re.fullmatch(pattern, details.email) for pattern in patterns):
            return
        raise TeamRequired(required)

    def check_required_fields(self, details: UserDetails) -> None:
        """Raise RequiredAttributeNotReturned unless every required field is there."""
        for name in conf.OPENID_SREG_REQUIRED_FIELDS:
            if not details.fields.get(name):
                raise RequiredAttributeNotReturned(
                    _("The OpenID provider did not send a field that this site needs: %(name)s.")
                    % {"name": name}
                )

    def create_user(self, assertion: Assertion, details: UserDetails) -> AbstractBaseUser:
        """Create the account of the identity and link the two."""
        model = get_user_model()
        values: dict[str, Any] = {username_field(): choose_username(details), "password": None}
        email_field = model.get_email_field_name()
        values.setdefault(email_field, details.email)
        user: AbstractBaseUser = model._default_manager.create_user(**values)
        self.associate_openid(user, assertion)
        return user

    def associate_openid(self, user: AbstractBaseUser, assertion: Assertion) -> UserOpenID:
        """Link the identity to ``user``. Raises IdentityAlreadyClaimed if another has it."""
        claimed_id = assertion.identity_url
        display_id = assertion.getDisplayIdentifier() or claimed_id
        return self.link_identity(user, claimed_id, display_id)

    def link_identity(self, user: AbstractBaseUser, claimed_id: str, display_id: str) -> UserOpenID:
        """Link a verified identity to ``user``. Raises IdentityAlreadyClaimed."""
        known = self._known_identity(user, claimed_id)
        if known is not None:
            return known
        identity = UserOpenID(user_id=user.pk, claimed_id=claimed_id, display_id=display_id)
        identity.save(force_insert=True)
        return identity

    def check_link(self, user: AbstractBaseUser, assertion: Assertion) -> bool:
        """Return True if ``user`` has the identity already, False if it may be linked.

        Raises IdentityAlreadyClaimed if another account has it.
        """
        return self._known_identity(user, assertion.identity_url) is not None

    def may_unlink(self, user: AbstractBaseUser, others: int) -> bool:
        """Say whether ``user`` can still sign in if only ``others`` identities are left."""
        if others:
            return True
        passwords = any(
            isinstance(backend, ModelBackend) and not isinstance(backend, OpenIDBackend)
            for backend in get_backends()
        )
        return passwords and user.has_usable_password()

    def unlink_identity(self, identity: UserOpenID) -> bool:
        """Unlink an identity from its account; return False if it is the last way to sign in."""
        using = router.db_for_write(UserOpenID)
        with transaction.atomic(using=using):
            # Two requests that unlink the last two at once wait for each other here. What is
            # locked is also what counts: another look could see an older state.
            locked = UserOpenID.objects.using(using).select_for_update()
            rows = {row.pk for row in locked.filter(user_id=identity.user_id).order_by("pk")}
            if identity.pk not in rows or not self.may_unlink(identity.user, len(rows) - 1):
                return False
            identity.delete()
        return True

    def _known_identity(self, user: AbstractBaseUser, claimed_id: str) -> UserOpenID | None:
        known: UserOpenID | None = UserOpenID.objects.for_claimed_id(claimed_id)
        if known is not None and known.user_id != user.pk:
            raise IdentityAlreadyClaimed
        return known

    def update_user_details(
        self, user: AbstractBaseUser, details: UserDetails, *, created: bool = False
    ) -> None:
        """Take the details over; what was not given stays. Write only what changed."""
        values = {"first_name": details.first_name, "last_name": details.last_name}
        values[user.get_email_field_name()] = details.email
        if conf.OPENID_FOLLOW_RENAMES and not created and details.nickname:
            values[username_field()] = choose_username(details, user)
        self._save_changes(user, {name: value for name, value in values.items() if value})
        self.update_account_verified(user, details)

    def update_account_verified(self, user: AbstractBaseUser, details: UserDetails) -> None:
        """Give or take ``openid_auth.account_verified``, if verification schemes are set."""
        permissions = getattr(user, "user_permissions", None)
        if details.account_verified is None or permissions is None:
            return
        wanted = account_verified_permissions()
        if details.account_verified:
            permissions.add(*wanted)
        else:
            permissions.remove(*wanted)

    def update_memberships(self, user: AbstractBaseUser, is_member: frozenset[str]) -> None:
        """Bring groups and the staff flag in line with the teams the person is in."""
        update_groups(user, is_member)
        is_staff = staff_status(user, is_member)
        if is_staff is not None:
            self._save_changes(user, {"is_staff": is_staff})

    def _save_changes(self, user: AbstractBaseUser, values: dict[str, Any]) -> None:
        fields = {field.name: field for field in user._meta.concrete_fields}
        changed = []
        for name, value in values.items():
            if name not in fields:
                continue
            if isinstance(value, str):
                value = value[: fields[name].max_length]
            if getattr(user, name) != value:
                setattr(user, name, value)
                changed.append(name)
        if changed:
            user.save(update_fields=changed)
