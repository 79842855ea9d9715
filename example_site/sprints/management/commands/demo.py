"""Show the example site, with a database, sample data and an OpenID provider."""

import io
import logging
import socket
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.utils.timezone import localdate

from example_site.sprints.demo_database import create_missing_database

HOST = "127.0.0.1"


class Command(BaseCommand):
    """`manage.py demo`: from nothing to a site in the browser; a second run keeps the data."""

    help = __doc__
    requires_system_checks: list[str] = []  # made below, when there is a database

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port",
            type=int,
            default=8000,
            help="The site's port; the OpenID provider takes the next one. Default: 8000.",
        )

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demonstration is for debug mode; run it without DEBUG=0.")
        for wanted in (port, port + 1):
            _require_free_port(wanted, port)
        if create_missing_database(settings.STORM_STORES["main"]["URI"]):
            self.stdout.write("Created the database.")
        call_command("migrate", verbosity=0)
        call_command("storm_schema", "upgrade", verbosity=0, stdout=io.StringIO())
        self._load_sample()
        call_command("check", stdout=io.StringIO())
        try:
            self._serve(port)
        except KeyboardInterrupt:
            self.stdout.write("\nStopped.")

    def _load_sample(self) -> None:
        from example_site.sprints.sample import load_sample, next_tuesday

        if load_sample(next_tuesday(localdate())):
            self.stdout.write("Loaded the sample data.")

    def _serve(self, port: int) -> None:
        from example_site.provider.server import ProviderServer

        site = StaticFilesHandler(get_wsgi_application())
        # After that call, which sets up logging. A line for each request would push the address
        # and the names out of sight.
        logging.getLogger("django.server").setLevel(logging.WARNING)
        with (
            ProviderServer(HOST, port + 1) as provider,
            ThreadedWSGIServer((HOST, port), WSGIRequestHandler) as server,
        ):
            settings.OPENID_SSO_SERVER_URL = provider.url
            server.set_app(site)
            self._introduce(port, provider.url)
            server.serve_forever()

    def _introduce(self, port: int, provider: str) -> None:
        from example_site.provider.identities import IDENTITIES

        self.stdout.write(self.style.SUCCESS(f"\n  http://{HOST}:{port}/\n"))
        self.stdout.write(f"Sign in as one of these (the OpenID provider is {provider}):\n\n")
        for person in IDENTITIES.values():
            teams = ", ".join(person.teams) or "in no team"
            self.stdout.write(f"  {person.name:8} {person.fullname:16} {teams}")
        self.stdout.write(
            "\nMembers of summit-drivers may move sessions, and keep the programme at "
            f"http://{HOST}:{port}/admin/.\nCtrl-C stops everything."
        )
        self.stdout.flush()


def _require_free_port(port: int, first: int) -> None:
    with socket.socket() as probe:
        # As the servers do: a port whose last connections are just closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise CommandError(
                f"Port {port} cannot be used ({error}). The demonstration takes ports {first} "
                f"and {first + 1}; choose others, as in: make demo PORT={first + 10}"
            ) from error
