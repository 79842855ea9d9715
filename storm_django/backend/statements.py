"""What a statement of Django can have changed, read from its text.

The text is not parsed as SQL: a few forms are recognised, those that Django writes, and anything
else may have changed everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

IDENTIFIER = r"""(?:"[^"]+"|`[^`]+`|[^\W\d]\w*)"""
NAME = rf"{IDENTIFIER}(?:\s*\.\s*{IDENTIFIER})*"
FIRST_WORD = re.compile(r"[\s(]*(\w+)")
INSERT = re.compile(
    rf"\s*INSERT\s+(?:OR\s+IGNORE\s+|IGNORE\s+)?INTO\s+({NAME})\s*(?:\([^()]*\))?", re.IGNORECASE
)
ON_CONFLICT = re.compile(r"\bON\s+(?:CONFLICT|DUPLICATE)\b", re.IGNORECASE)
DO_NOTHING = re.compile(r"\bDO\s+NOTHING\b", re.IGNORECASE)
DO_UPDATE = re.compile(
    r"\b(?:DO\s+UPDATE\s+SET|ON\s+DUPLICATE\s+KEY\s+UPDATE)\s", re.IGNORECASE | re.DOTALL
)
UPDATE = re.compile(rf"\s*UPDATE\s+({NAME})\s+SET\s", re.IGNORECASE)
DELETE = re.compile(rf"\s*DELETE\s+FROM\s+{NAME}\s*(?:WHERE\b|$)", re.IGNORECASE)
ROLLBACK = re.compile(r"\s*ROLLBACK(?!\s+PREPARED\b)\b", re.IGNORECASE)
RETURNING = re.compile(r"\bRETURNING\b", re.IGNORECASE)
ASSIGNMENT = re.compile(rf"\s*({NAME})\s*=")
BY_KEY = re.compile(
    rf"WHERE\s+({NAME})\s*(?:=\s*%s|IN\s*\(\s*(%s(?:\s*,\s*%s)*)\s*\))\s*", re.IGNORECASE
)
TOKEN = re.compile(r"""'(?:[^'\\]|'')*'|"[^"]*"|`[^`]*`|--|/\*|\w+|\s+|.""", re.DOTALL)
# A comment, or more than one statement. PostgreSQL has the operators #> and #-.
SEVERAL = re.compile(r"--|/\*|#(?![>-])|;(?!\s*$)")
CALL = re.compile(r"([\w.\"`\]]+)\s*\(")

# What may stand before a parenthesis in a statement that only reads. A function that is not among
# these may write.
HARMLESS = """
    AGAINST ALL AND ANY ARRAY AS BETWEEN BY CASE CONFLICT DISTINCT ELSE EXCEPT EXISTS FILTER FROM
    GROUP HAVING ILIKE IN INTERSECT INTERVAL IS JOIN LATERAL LIKE LIMIT MATCH NOT OFFSET ON OR OVER
    RETURNING ROW SELECT SET SOME THEN UNION USING VALUE VALUES WHEN WHERE WITHIN

    BINARY BIT CHAR CHARACTER DATETIME DECIMAL FLOAT NCHAR NUMERIC SIGNED TIME TIMESTAMP UNSIGNED
    VARBINARY VARCHAR VARYING

    ANY_VALUE ARRAY_AGG AVG BIT_AND BIT_OR BIT_XOR BOOL_AND BOOL_OR CORR COUNT COVAR_POP
    COVAR_SAMP CUME_DIST DENSE_RANK EVERY FIRST_VALUE GROUP_CONCAT JSONB_AGG JSONB_OBJECT_AGG
    JSON_AGG JSON_ARRAYAGG JSON_OBJECTAGG JSON_OBJECT_AGG LAG LAST_VALUE LEAD MAX MIN MODE
    NTH_VALUE NTILE PERCENTILE_CONT PERCENTILE_DISC PERCENT_RANK RANK REGR_COUNT REGR_SLOPE
    ROW_NUMBER STDDEV STDDEV_POP STDDEV_SAMP STRING_AGG SUM TOTAL VARIANCE VAR_POP VAR_SAMP

    CAST COALESCE CONVERT GREATEST IF IFNULL ISNULL LEAST NULLIF TYPEOF

    ASCII BTRIM CHAR_LENGTH CHARACTER_LENGTH CHR CONCAT CONCAT_WS FORMAT HEX INSTR LCASE LEFT
    LENGTH LOCATE LOWER LPAD LTRIM MD5 OCTET_LENGTH ORD POSITION REGEXP_LIKE REGEXP_REPLACE REPEAT
    REPLACE REVERSE RIGHT RPAD RTRIM SHA1 SHA2 SHA224 SHA256 SHA384 SHA512 SPLIT_PART STRPOS SUBSTR
    SUBSTRING TO_CHAR TO_TSQUERY TO_TSVECTOR TRANSLATE TRIM TS_RANK UCASE UNACCENT UPPER

    ABS ACOS ASIN ATAN ATAN2 CEIL CEILING COS COT DEGREES EXP FLOOR LN LOG MOD PI POW POWER
    RADIANS RAND RANDOM ROUND SIGN SIN SQRT TAN TRUNC TRUNCATE

    AGE CONVERT_TZ CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP DATE DATEDIFF DATE_ADD DATE_FORMAT
    DATE_PART DATE_SUB DATE_TRUNC DAY DAYOFMONTH DAYOFWEEK DAYOFYEAR EXTRACT HOUR JULIANDAY
    LAST_DAY LOCALTIMESTAMP MAKEDATE MICROSECOND MINUTE MONTH NOW QUARTER SECOND
    STATEMENT_TIMESTAMP STRFTIME STR_TO_DATE SYSDATE TIMEDIFF TIMESTAMPADD TIMESTAMPDIFF
    TIME_FORMAT TIME_TO_SEC TO_DATE TO_TIMESTAMP WEEK WEEKDAY YEAR YEARWEEK

    ARRAY_LENGTH GENERATE_SERIES JSON JSONB_ARRAY_LENGTH JSONB_BUILD_ARRAY JSONB_BUILD_OBJECT
    JSONB_TYPEOF JSON_ARRAY JSON_ARRAY_LENGTH JSON_BUILD_OBJECT JSON_CONTAINS JSON_CONTAINS_PATH
    JSON_EACH JSON_EXTRACT JSON_KEYS JSON_LENGTH JSON_OBJECT JSON_QUERY JSON_SET JSON_TYPE
    JSON_UNQUOTE JSON_VALID JSON_VALUE TO_JSON TO_JSONB UNNEST

    CURRENT_DATABASE CURRENT_SCHEMA CURRENT_SETTING DATABASE LAST_INSERT_ID NEXTVAL
    PG_GET_SERIAL_SEQUENCE PG_SLEEP SET_CONFIG SETVAL SLEEP VERSION
"""
HARMLESS_NAMES = frozenset(HARMLESS.split())


@dataclass(frozen=True, eq=False)
class Effect:
    """What a statement can have changed.

    Without a ``table`` that is everything. ``columns`` are those that it assigns, ``key`` is the
    column that picks the rows if only the last ``keys`` parameters do. ``counted``: if the driver
    counts no rows, nothing has changed.
    """

    table: str = ""
    columns: frozenset[str] = frozenset()
    key: str = ""
    keys: int = 0
    counted: bool = False


NOTHING = Effect()
EVERYTHING = Effect()
MARK = Effect()  # a savepoint, which changes nothing
UNDO = Effect()  # a rollback, to a savepoint or of all


def plain_name(name: str) -> str:
    """A table's or column's name without its schema, its quotes and its case."""
    return re.sub(r'["`\s]', "", name).rpartition(".")[2].lower()


def effect_of(sql: Any) -> Effect:
    """What the statement ``sql``, whatever the driver takes for one, can have changed."""
    if not isinstance(sql, str):
        return EVERYTHING
    # A long one is hardly ever executed twice.
    return _known(sql) if len(sql) < 4000 else _effect_of(sql)


def _effect_of(sql: str) -> Effect:
    if SEVERAL.search(sql):
        return EVERYTHING
    found = FIRST_WORD.match(sql)
    read = _READERS.get(found[1].upper()) if found else None
    return EVERYTHING if read is None else read(sql)


_known = lru_cache(maxsize=512)(_effect_of)


def _calls_only_harmless(sql: str) -> bool:
    """Whether no function is called that may write."""
    return all(
        name.upper() in HARMLESS_NAMES or name.startswith("django_") for name in CALL.findall(sql)
    )


def _select(sql: str) -> Effect:
    return NOTHING if _calls_only_harmless(sql) else EVERYTHING


def _set(sql: str) -> Effect:
    # MariaDB: SET STATEMENT max_statement_time=1 FOR UPDATE ...
    return EVERYTHING if re.match(r"\s*SET\s+STATEMENT\b", sql, re.IGNORECASE) else _select(sql)


def _insert(sql: str) -> Effect:
    found = INSERT.match(sql)
    if found is None:
        return EVERYTHING
    rest = sql[found.end() :]
    if not _calls_only_harmless(rest) or re.search(r"\bWITH\b", rest, re.IGNORECASE):
        return EVERYTHING
    if not ON_CONFLICT.search(rest):
        return NOTHING  # no row that was there
    updates = DO_UPDATE.search(rest)
    if "'" in rest:
        return EVERYTHING  # one of these may be in a literal
    if updates is None:
        return NOTHING if DO_NOTHING.search(rest) else EVERYTHING
    return _assigning(found[1], rest[updates.end() :], counted=False)


def _update(sql: str) -> Effect:
    found = UPDATE.match(sql)
    if found is None or not _calls_only_harmless(sql):
        return EVERYTHING
    return _assigning(found[1], sql[found.end() :], counted=not RETURNING.search(sql))


def _delete(sql: str) -> Effect:
    # What refers to the row may be gone or changed too.
    if DELETE.match(sql) and _calls_only_harmless(sql) and not RETURNING.search(sql):
        return Effect(counted=True)
    return EVERYTHING


def _assigning(table: str, text: str, *, counted: bool) -> Effect:
    """The effect of ``text``, what stands after SET."""
    split = _split(text)
    if split is None:
        return EVERYTHING
    assignments, where = split
    columns = set()
    for assignment in assignments:
        found = ASSIGNMENT.match(assignment)
        if found is None:
            return EVERYTHING
        columns.add(plain_name(found[1]))
    key, keys = "", 0
    by_key = BY_KEY.fullmatch(where)
    if by_key is not None:
        *qualifier, key = by_key[1].rsplit(".", 1)
        if qualifier and plain_name(qualifier[0]) != plain_name(table):
            return EVERYTHING
        key, keys = plain_name(key), (by_key[2] or "%s").count("%s")
    return Effect(plain_name(table), frozenset(columns), key, keys, counted)


def _split(text: str) -> tuple[list[str], str] | None:
    """The assignments, and what follows from WHERE on. None if that is not certain."""
    depth = 0
    piece = ""
    pieces: list[str] = []
    for found in TOKEN.finditer(text):
        token = found[0]
        if token in ("'", '"', "`", "\\", "$", "[", "--", "/*"):
            return None
        word = token.upper()
        if depth == 0 and word == "FROM":
            return None
        if depth == 0 and word in ("WHERE", "RETURNING"):
            return [*pieces, piece], text[found.start() :]
        if depth == 0 and token == ",":
            pieces.append(piece)
            piece = ""
            continue
        depth += (token == "(") - (token == ")")
        piece += token
    return None if depth else ([*pieces, piece], "")


_READERS: dict[str, Callable[[str], Effect]] = {
    "SELECT": _select,
    "INSERT": _insert,
    "UPDATE": _update,
    "DELETE": _delete,
    "SET": _set,
    "SHOW": lambda sql: NOTHING,
    "PRAGMA": lambda sql: NOTHING,
    "RELEASE": lambda sql: NOTHING,
    "SAVEPOINT": lambda sql: MARK,
    "ROLLBACK": lambda sql: UNDO if ROLLBACK.match(sql) else EVERYTHING,
}
