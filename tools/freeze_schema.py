"""Writes the first migration as static text: tables, indexes and seals of every package, for both engines.

Run `python tools/freeze_schema.py` after a `tables.py` or `seals.py` changed, while 0001 is not released. From the first
release on 0001 stays as it is and a change is a new revision.
"""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sqlalchemy.dialects import postgresql, sqlite  # noqa: E402
from sqlalchemy.engine import Dialect  # noqa: E402
from sqlalchemy.schema import CreateIndex, CreateTable  # noqa: E402
from sqlmodel import SQLModel  # noqa: E402

TARGET = ROOT / "hub" / "db" / "migrations" / "versions" / "0001_first.py"

HEAD = '''"""The first schema: tables, indexes and seals. Written by tools/freeze_schema.py, never by hand."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    connection = op.get_bind()
    for statement in SQLITE if connection.dialect.name == "sqlite" else POSTGRES:
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


'''


def modules(name: str) -> Iterator[ModuleType]:
    """The modules `tables` or `seals` of all packages of the hub, in path order."""
    for path in sorted((ROOT / "hub").rglob(f"{name}.py")):
        yield importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def statements(dialect: Dialect, seals: str) -> list[str]:
    """All DDL of one engine: tables before those that refer to them, indexes, seals, first rows."""
    for _ in modules("tables"):
        pass
    found: list[str] = []
    for table in SQLModel.metadata.sorted_tables:
        found.append(str(CreateTable(table).compile(dialect=dialect)))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        found += [str(CreateIndex(index).compile(dialect=dialect)) for index in indexes]
    # the hub's own seals first: others use its functions
    for module in sorted(modules("seals"), key=lambda module: module.__name__ != "hub.db.seals"):
        found += getattr(module, seals)
    found.append("INSERT INTO id_counter (id, next) VALUES (1, 1000)")
    return [tidy(text) for text in found]


def tidy(text: str) -> str:
    """One statement without the spaces that the compiler leaves at line ends."""
    lines = textwrap.dedent(text.strip("\n").expandtabs(4)).splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip())


def written() -> str:
    """The text of the migration."""
    parts = [HEAD]
    for name, dialect in (("SQLITE", sqlite.dialect()), ("POSTGRES", postgresql.dialect())):  # type: ignore[no-untyped-call]
        parts.append(f"{name} = [\n")
        for statement in statements(dialect, name):
            if '"""' in statement or "\\" in statement:
                raise SystemExit(f"this statement cannot be kept as plain text:\n{statement}")
            if "\n" in statement or '"' in statement:
                parts.append(f'    """\n{statement}\n""",\n')
            else:
                parts.append(f'    "{statement}",\n')
        parts.append("]\n\n")
    return "".join(parts).rstrip("\n") + "\n"


if __name__ == "__main__":
    made = TARGET.with_suffix(".new")
    made.write_text(written(), encoding="utf-8")
    os.replace(made, TARGET)
    print(f"written: {TARGET.relative_to(ROOT)}")
