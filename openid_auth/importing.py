"""Take identities over from the tables of another package. The old tables are only read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connections, router, transaction

from openid_auth.fields import digest
from openid_auth.models import MAX_URL_LENGTH, UserOpenID, account_verified_permissions

# So often a batch is tried again because somebody signed in meanwhile.
ATTEMPTS = 3


@dataclass(frozen=True)
class Source:
    """A table with identities: the names of its columns, and which of its rows are OpenID's."""

    table: str
    claimed_id: str
    display_id: str
    provider: str | None = None  # the column that names the provider
    providers: tuple[str, ...] = ()
    app_label: str | None = None  # whose permission account_verified is taken over


SOURCES: Mapping[str, Source] = {
    "django-openid-auth": Source(
        "django_openid_auth_useropenid",
        "claimed_id",
        "display_id",
        app_label="django_openid_auth",
    ),
    "social-core": Source(
        "social_auth_usersocialauth", "uid", "uid", provider="provider", providers=("openid",)
    ),
    "allauth": Source(
        "socialaccount_socialaccount", "uid", "uid", provider="provider", providers=("openid",)
    ),
}


class Result(str, Enum):
    """What became of a row."""

    TAKEN_OVER = "taken over"
    KNOWN = "there already"
    CONFLICT = "of an identity that another account has"
    NO_USER = "of an account that is not there"
    NO_URL = "with something that is not an http or https address"


@dataclass(frozen=True)
class Row:
    """A row of the old table."""

    pk: Any
    claimed_id: str
    display_id: str
    user: Any


@dataclass
class Importer:
    """Reads ``source`` in the database ``using``, ``batch_size`` rows in a transaction each.

    It can be run again: what is there already is left alone. ``dry_run`` decides everything, and
    writes nothing. ``counts`` says what became of how many rows, ``conflicts`` which rows are for
    another account than the one that has the identity here.
    """

    source: Source
    using: str = "default"
    batch_size: int = 1000
    dry_run: bool = False
    counts: Counter[Result] = field(default_factory=Counter)
    conflicts: list[Row] = field(default_factory=list)
    _seen: dict[str, Any] = field(default_factory=dict)

    def total(self) -> int:
        """Return how many rows there are to look at."""
        where, parameters = self._where()
        with connections[self.using].cursor() as cursor:
            cursor.execute(
                f"SELECT COUNT(*) FROM {self._name(self.source.table)}{where}", parameters
            )
            return int(cursor.fetchone()[0])

    def is_there(self) -> bool:
        """Say whether the database has the table."""
        connection = connections[self.using]
        with connection.cursor() as cursor:
            return self.source.table in connection.introspection.table_names(cursor)

    def run(self, progress: Callable[[int], None] = lambda done: None) -> None:
        """Take all rows over; call ``progress`` with the number of rows done after each batch."""
        done = 0
        for rows in self._batches():
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    results = self._take_over(rows)
                    break
                except IntegrityError:
                    if attempt == ATTEMPTS:
                        raise
            # The transaction has been committed: what is counted is there.
            self.counts.update(result for _row, result in results)
            self.conflicts += [row for row, result in results if result is Result.CONFLICT]
            done += len(rows)
            progress(done)

    def take_over_permissions(self) -> int:
        """Give ``openid_auth.account_verified`` to the users and groups that had the old one.

        Returns how many they are.
        """
        old = Permission.objects.filter(
            content_type__app_label=self.source.app_label, codename="account_verified"
        )
        new = account_verified_permissions()
        with transaction.atomic(using=router.db_for_write(Permission)):
            holders: list[Any] = list(Group.objects.filter(permissions__in=old).distinct())
            lists = [holder.permissions for holder in holders]
            if hasattr(get_user_model(), "user_permissions"):
                users = get_user_model()._default_manager.filter(user_permissions__in=old)
                lists += [user.user_permissions for user in users.distinct()]
            if not self.dry_run:
                for permissions in lists:
                    permissions.add(*new)
        return len(lists)

    def _take_over(self, rows: Sequence[Row]) -> list[tuple[Row, Result]]:
        using = router.db_for_write(UserOpenID)
        with transaction.atomic(using=using):
            results = self._decide(rows, using)
            if not self.dry_run:
                UserOpenID.objects.using(using).bulk_create(
                    UserOpenID(
                        user_id=row.user,
                        claimed_id=row.claimed_id,
                        display_id=row.display_id or row.claimed_id,
                    )
                    for row, result in results
                    if result is Result.TAKEN_OVER
                )
        return results

    def _decide(self, rows: Sequence[Row], using: str) -> list[tuple[Row, Result]]:
        digests = [digest(row.claimed_id) for row in rows]
        known = dict(
            UserOpenID.objects.using(using)
            .filter(claimed_id_digest__in=digests)
            .values_list("claimed_id_digest", "user_id")
        )
        users = set(
            get_user_model()
            ._default_manager.filter(pk__in={row.user for row in rows if row.user is not None})
            .values_list("pk", flat=True)
        )
        # A dry run has no table to find the rows of earlier batches in.
        taken = self._seen if self.dry_run else {}
        results = []
        for row, key in zip(rows, digests, strict=True):
            owner = known.get(key, taken.get(key))
            if not row.claimed_id.startswith(("http://", "https://")) or (
                len(row.claimed_id) > MAX_URL_LENGTH
            ):
                result = Result.NO_URL
            elif row.user not in users:
                result = Result.NO_USER
            elif owner is not None:
                result = Result.KNOWN if owner == row.user else Result.CONFLICT
            else:
                result = Result.TAKEN_OVER
                taken[key] = row.user
            results.append((row, result))
        return results

    def _batches(self) -> Iterator[list[Row]]:
        """Yield all rows by their key: what is added meanwhile comes last, and is not missed."""
        last = None
        names = ("id", self.source.claimed_id, self.source.display_id, "user_id")
        columns = ", ".join(map(self._name, names))
        while True:
            where, parameters = self._where() if last is None else self._where(last)
            with connections[self.using].cursor() as cursor:
                cursor.execute(
                    f"SELECT {columns} FROM {self._name(self.source.table)}{where} "
                    f"ORDER BY {self._name('id')} LIMIT {int(self.batch_size)}",
                    parameters,
                )
                found = cursor.fetchall()
            if not found:
                return
            last = found[-1][0]
            yield [
                Row(pk, str(claimed_id), str(display_id), self._user_key(user))
                for pk, claimed_id, display_id, user in found
            ]

    def _where(self, after: Any = None) -> tuple[str, list[Any]]:
        conditions, parameters = [], []
        if after is not None:
            conditions.append(f"{self._name('id')} > %s")
            parameters.append(after)
        if self.source.provider is not None:
            marks = ", ".join(["%s"] * len(self.source.providers))
            conditions.append(f"{self._name(self.source.provider)} IN ({marks})")
            parameters += self.source.providers
        return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), parameters

    def _name(self, name: str) -> str:
        return str(connections[self.using].ops.quote_name(name))

    def _user_key(self, value: Any) -> Any:
        """Return the key as the user model has it: databases keep a UUID as text."""
        try:
            return get_user_model()._meta.pk.to_python(value)
        except ValidationError:
            return None
