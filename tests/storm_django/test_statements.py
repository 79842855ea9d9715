"""What a statement of Django can have changed, read from its text."""

from __future__ import annotations

from typing import Any

from django.test import SimpleTestCase, tag

from storm_django.backend.statements import EVERYTHING, MARK, NOTHING, UNDO, effect_of

CHANGES_NOTHING = """
SELECT 1
  ( select "a"."id" from "a" where ("a"."n" in (%s, %s) and exists(select 1))
SELECT COUNT(*) AS "__count" FROM "a" INNER JOIN "b" ON ("a"."id" = "b"."a_id") GROUP BY 1
SELECT django_date_extract('year', "a"."day", %s, %s) FROM "a"
SELECT "a"."n" FROM "a" WHERE "a"."name" LIKE %s ESCAPE '\\' FOR UPDATE
SELECT CAST("a"."n" AS numeric(10, 2)), ("a"."x")::varchar(3), UPPER("a"."name"::text) FROM "a"
SELECT ("a"."doc" #> %s) FROM "a"
SET CONSTRAINTS ALL IMMEDIATE
SHOW TABLES
PRAGMA foreign_key_check("a")
RELEASE SAVEPOINT x
INSERT INTO "a" ("id", "n") VALUES (%s, COALESCE(%s, 1)) RETURNING "a"."id"
INSERT INTO "a" ("n") SELECT * FROM UNNEST((%s)::integer[]) RETURNING "a"."id"
INSERT INTO a DEFAULT VALUES
INSERT IGNORE INTO `a` (`n`) VALUES (%s)
INSERT OR IGNORE INTO "a" ("n") VALUES (%s)
INSERT INTO "a" ("n") VALUES (%s) ON CONFLICT DO NOTHING
SELECT 1;
"""

CHANGES_ANYTHING = """
SELECT 1; UPDATE a SET n = 1
SELECT move_it(%s)
SELECT * FROM audit.count()
SELECT "lower"(%s)
SELECT move_it /* it */ (1)
SET STATEMENT max_statement_time=1 FOR UPDATE a SET n = 1
SET @a = move_it()
-- a comment
/* SELECT */ UPDATE a SET n = 1
WITH x AS (DELETE FROM a RETURNING id) SELECT * FROM x
(WITH x AS (DELETE FROM a RETURNING id) SELECT * FROM x)
CALL move_it()
COPY a FROM STDIN
MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE
TRUNCATE a
ALTER TABLE a ADD n integer DEFAULT 3
REPLACE INTO a (id) VALUES (1)
INSERT OR REPLACE INTO a (id) VALUES (1)
INSERT INTO a (n) VALUES (move_it(1))
INSERT INTO a (n) VALUES ('ON CONFLICT DO NOTHING') ON CONFLICT (n) DO UPDATE SET id = 3
INSERT INTO a WITH x AS (SELECT 1) SELECT * FROM x
UPDATE OR REPLACE a SET n = 1
UPDATE ONLY a SET n = 1
UPDATE LOW_PRIORITY a SET n = 1
UPDATE a, b SET a.n = 1
UPDATE a JOIN b ON a.id = b.id SET b.n = 1
UPDATE a x SET n = 1
UPDATE a SET (n, id) = (1, 2)
UPDATE a SET n = move_it(1)
UPDATE a SET n = b.n FROM b WHERE b.id = %s
UPDATE a SET n = 'it''s', m = E'\\'' WHERE id = 1
UPDATE a SET n = $$,$$
UPDATE a SET n = 1 WHERE b.id = %s
UPDATE a SET n = (1
EXPLAIN ANALYZE UPDATE a SET n = 1
ANALYZE UPDATE a SET n = 1
COMMIT
BEGIN
ROLLBACK PREPARED 'x'
DO $$ BEGIN END $$
PREPARE x AS SELECT 1
EXECUTE x
DELETE a FROM a JOIN b
"""

# Text, and: table, assigned columns, the column of the key, how many keys.
CHANGES_A_TABLE: list[tuple[str, tuple[str, set[str], str, int]]] = [
    ('UPDATE "a" SET "n" = %s, "m" = NULL', ("a", {"n", "m"}, "", 0)),
    ("update Main.A set N=1", ("a", {"n"}, "", 0)),
    ('UPDATE "s"."a" SET "n" = %s WHERE "s"."a"."id" = %s', ("a", {"n"}, "id", 1)),
    ("UPDATE `a` SET `n` = %s WHERE `a`.`id` IN (%s, %s,%s)", ("a", {"n"}, "id", 3)),
    ("UPDATE a SET n = %s WHERE id = %s OR m = %s", ("a", {"n"}, "", 0)),
    ("UPDATE a SET n = %s WHERE m = (SELECT 1 FROM b WHERE id IN (%s))", ("a", {"n"}, "", 0)),
    (
        'UPDATE "a" SET "n" = (CASE WHEN ("a"."id" = %s) THEN %s ELSE NULL END)::integer, '
        '"m" = COALESCE("a"."m", %s) WHERE "a"."id" IN (%s)',
        ("a", {"n", "m"}, "id", 1),
    ),
    (
        'UPDATE "a" SET "n" = (SELECT U0."id" FROM "b" U0 WHERE U0."id" = %s), id = 3',
        ("a", {"n", "id"}, "", 0),
    ),
    ("UPDATE a SET n = ', id = 1 WHERE id = ', m = \"x,y\"", ("a", {"n", "m"}, "", 0)),
    (
        'INSERT INTO "a" ("id", "n") VALUES (%s, %s) ON CONFLICT("id") DO UPDATE SET '
        '"n" = EXCLUDED."n" RETURNING "a"."id"',
        ("a", {"n"}, "", 0),
    ),
    (
        "INSERT INTO `a` (`n`) VALUES (%s) ON DUPLICATE KEY UPDATE `n` = VALUE(`n`), `m` = 1",
        ("a", {"n", "m"}, "", 0),
    ),
]


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


@tag("once")
class EffectTest(SimpleTestCase):
    def test_what_only_reads_or_inserts_changes_no_row(self) -> None:
        for sql in lines(CHANGES_NOTHING):
            with self.subTest(sql):
                self.assertIs(effect_of(sql), NOTHING)

    def test_what_is_not_recognised_changes_anything(self) -> None:
        composed: list[Any] = [b"SELECT 1", None, object(), "", "  "]
        for sql in [*lines(CHANGES_ANYTHING), *composed]:
            with self.subTest(sql):
                effect = effect_of(sql)
                self.assertEqual((effect.table, effect.counted), ("", False))
                self.assertNotIn(effect, (NOTHING, MARK, UNDO))

    def test_an_update_changes_rows_of_its_table(self) -> None:
        for sql, expected in CHANGES_A_TABLE:
            with self.subTest(sql):
                effect = effect_of(sql)
                found = (effect.table, set(effect.columns), effect.key, effect.keys)
                self.assertEqual(found, expected)

    def test_the_drivers_count_is_asked_where_it_is_complete(self) -> None:
        for sql, counted in [
            ("UPDATE a SET n = 1", True),
            ("UPDATE a SET n = 1 RETURNING id", False),  # SQLite counts what was fetched
            ("DELETE FROM a WHERE id = %s", True),
            ("DELETE FROM a", True),
            ("DELETE FROM a WHERE move_it(id)", False),
            ("DELETE FROM a WHERE n = 1 RETURNING id", False),
            ("INSERT INTO a (n) VALUES (1) ON CONFLICT (n) DO UPDATE SET n = 2", False),
        ]:
            with self.subTest(sql):
                self.assertEqual(effect_of(sql).counted, counted)

    def test_savepoints_and_the_ways_back_are_known(self) -> None:
        for sql in ("SAVEPOINT x", ' savepoint "x"'):
            self.assertIs(effect_of(sql), MARK)
        for sql in ("ROLLBACK", "rollback to x", "ROLLBACK TO SAVEPOINT x", "ROLLBACK;"):
            self.assertIs(effect_of(sql), UNDO)

    def test_a_long_statement_is_read_like_a_short_one(self) -> None:
        values = ", ".join(["(%s)"] * 5000)
        self.assertIs(effect_of(f"INSERT INTO a (n) VALUES {values}"), NOTHING)
        keys = ", ".join(["%s"] * 5000)
        self.assertEqual(effect_of(f"UPDATE a SET n = 1 WHERE id IN ({keys})").keys, 5000)

    def test_everything_is_nothing_else(self) -> None:
        self.assertEqual(len({NOTHING, EVERYTHING, MARK, UNDO}), 4)
