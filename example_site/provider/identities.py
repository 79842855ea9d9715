"""The people that the development provider knows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """A person: ``name`` is the last part of their address at the provider."""

    name: str
    fullname: str
    email: str
    teams: tuple[str, ...] = ()

    @property
    def nickname(self) -> str:
        return self.name

    @property
    def initials(self) -> str:
        return "".join(part[0] for part in self.fullname.split()[:2])


IDENTITIES = {
    identity.name: identity
    for identity in (
        Identity("ada", "Ada Lovelace", "ada@example.org", ("summit-drivers", "kernel-team")),
        Identity("grace", "Grace Hopper", "grace@example.org", ("summit-drivers",)),
        Identity("linus", "Linus Berg", "linus@example.org", ("kernel-team",)),
        Identity("mei", "Mei Tanaka", "mei@example.org", ("summit-volunteers", "docs-team")),
        Identity("yusuf", "Yusuf Demir", "yusuf@example.org", ("summit-volunteers",)),
        Identity("nora", "Nora Fischer", "nora@example.org"),
    )
}
