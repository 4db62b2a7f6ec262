"""Triggers that seal a table, as DDL for both engines: what is added stays as it was."""

from __future__ import annotations

from collections.abc import Sequence

SQLITE: list[str] = []

POSTGRES: list[str] = [
    """
    CREATE FUNCTION hub_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
]


def append_only_sqlite(table: str) -> list[str]:
    """Refuses updates and deletes. REPLACE is refused by a trigger of the table's own, which knows its unique keys."""
    return [
        f"CREATE TRIGGER {table}_updated BEFORE UPDATE ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: UPDATE is refused'); END",
        f"CREATE TRIGGER {table}_deleted BEFORE DELETE ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: DELETE is refused'); END",
    ]


def append_only_postgres(table: str) -> list[str]:
    """Refuses updates, upserts, deletes and TRUNCATE, as statements: also those that would touch no row."""
    return [
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse()"
    ]


def unchangeable_sqlite(table: str, columns: Sequence[str]) -> list[str]:
    """Refuses deletes, and changes of the columns given."""
    changed = " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in columns)
    return [
        f"CREATE TRIGGER {table}_fixed BEFORE UPDATE ON {table} WHEN {changed} "
        f"BEGIN SELECT RAISE(ABORT, '{table}: {', '.join(columns)} never change'); END",
        f"CREATE TRIGGER {table}_deleted BEFORE DELETE ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table}: DELETE is refused'); END",
    ]


def unchangeable_postgres(table: str, columns: Sequence[str]) -> list[str]:
    """Refuses deletes and TRUNCATE, and changes of the columns given."""
    changed = " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in columns)
    return [
        f"""
        CREATE FUNCTION hub_{table}_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF {changed} THEN
            RAISE EXCEPTION '{table}: {", ".join(columns)} never change'
              USING ERRCODE = 'integrity_constraint_violation';
          END IF;
          RETURN NEW;
        END $$
        """,
        f"CREATE TRIGGER {table}_fixed BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION hub_{table}_fixed()",
        f"CREATE TRIGGER {table}_deleted BEFORE DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse()",
    ]
