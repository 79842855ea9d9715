"""The tests of Storm about something that we deliberately do otherwise, each with its reason."""

_AUTOCOMMIT = (
    "A store with isolation=autocommit has no transaction that Django could share, so the engine "
    "refuses it. (Such a store without an alias in DATABASES is plain Storm's.)"
)

DIFFERENT = {
    "storm.tests.databases.postgres.PostgresTest.test_isolation_autocommit": _AUTOCOMMIT,
    "storm.tests.databases.postgres.PostgresTest.test_uri_parameters": _AUTOCOMMIT,
    "storm.tests.databases.mysql.MySQLTest.test_charset_defaults_to_utf8mb3": (
        "Django's connections are utf8mb4, which holds all of utf8mb3, so the shared one is too. "
        "A charset in the URI is used as it is."
    ),
}
