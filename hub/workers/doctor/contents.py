"""Checks of what is in a hub: its database and rights, connections, flows, questions, events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.links import SettingsError, split_settings
from hub.connect.manifest import ManifestError, OAuth2
from hub.connect.registry import Registry, UnknownConnector
from hub.connect.rootkeys import VaultError
from hub.connect.tables import Connection as ConnectionTable
from hub.connect.vault import Vault
from hub.db import migrate as migrations
from hub.db.engine import BadDatabaseUrl, Database, parsed
from hub.db.tables import Merchant
from hub.db.types import instant_text, now_us
from hub.flows import activation
from hub.inbox.questions import QUESTION
from hub.inbox.tables import Inbox
from hub.outbox import restored
from hub.workers.admin import lint, running
from hub.workers.admin.reports import OPEN_EVENTS
from hub.workers.alerts.rules import FILE as ALERTS
from hub.workers.alerts.rules import load as load_alerts
from hub.workers.doctor.findings import Finding, Patient, fault, ok, warning

_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_MERCHANT = Merchant.__table__  # type: ignore[attr-defined]
_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_OLD_S = 600
_SHOWN = 10
#: what the application's role may not do: a seal that it could lift would be none
_FORBIDDEN = ("TRUNCATE TABLE entry", "ALTER TABLE entry DISABLE TRIGGER ALL")


def connectors(patient: Patient) -> Iterator[Finding]:
    """The connectors that are there, and what is wrong with packages that bring some."""
    patient.registry = Registry.discover(patient.settings.home)
    for problem in patient.registry.problems:
        yield warning(str(problem), "see the package that it comes from")
    if not patient.registry.problems:
        yield ok(", ".join(patient.registry.names()))


def database(patient: Patient) -> Iterator[Finding]:
    """It answers, and its tables are those of this release."""
    try:
        url = parsed(patient.settings.url)
        shown = url.render_as_string(hide_password=True)
        file = patient.sqlite_file
        made = Database(patient.settings.url)
    except BadDatabaseUrl as error:
        yield fault(
            f"HUB_DATABASE_URL cannot be used: {error}", "give postgresql://role:password@host/database, or nothing"
        )
        return
    if file is not None and not file.is_file():
        made.dispose()
        yield fault(f"there is no database {file}", "run `hub init`, or restore a backup with `hub restore`")
        return
    try:
        with made.read() as connection:
            tables = sa.inspect(connection).has_table("alembic_version")
            statement = sa.text("SELECT version_num FROM alembic_version")
            found = connection.execute(statement).scalar_one_or_none() if tables else None
    except sa.exc.SQLAlchemyError as error:
        made.dispose()
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        mend = "restore a backup with `hub restore`" if file is not None else "start it, or see HUB_DATABASE_URL"
        yield fault(f"{shown} does not answer: {reason}", mend)
        return
    patient.database, head = made, migrations.head()
    if found is None:
        yield fault(f"{shown} has no tables", "run `hub init`")
    elif found not in migrations.revisions():
        yield fault(f"{shown} has revision {found}, which is of a later release than this one", "run that release")
    elif found != head:
        yield fault(f"{shown} has revision {found}, this release needs {head}", "stop the hub and run `hub upgrade`")
    else:
        patient.migrated = True
        yield ok(f"{shown} has revision {head}")


def rights(patient: Patient) -> Iterator[Finding]:
    """On PostgreSQL: the role may read and write rows of all tables, and can lift no seal. The latter is tried."""
    made = patient.readable
    if made is None or made.sqlite:
        return
    with made.read() as connection:
        role = connection.exec_driver_sql("SELECT current_user").scalar_one()
        lacking = _lacking(connection)
    allowed = [statement for statement in _FORBIDDEN if _is_allowed(made, statement)]
    if allowed:
        yield fault(
            f"the role {role} can lift seals ({allowed[0]} is not refused to it)",
            "give the application a role of its own: HUB_DATABASE_URL for it, HUB_DATABASE_ADMIN_URL for the owner",
        )
    elif lacking:
        yield fault(
            f"the role {role} lacks rights on {', '.join(lacking)}", "run `hub upgrade`, which gives them again"
        )
    else:
        yield ok(f"the role {role} reads and writes rows, and truncates and alters nothing")


def _lacking(connection: Connection) -> list[str]:
    """Tables of which the role may not read and write rows; several words in one call would ask for any of them."""
    may = "has_table_privilege(quote_ident(schemaname) || '.' || quote_ident(tablename), '{}')"
    writes = " AND ".join(may.format(each) for each in ("INSERT", "UPDATE", "DELETE"))
    found = connection.exec_driver_sql(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"  # noqa: S608 - our own words
        f" AND NOT ({may.format('SELECT')} AND (tablename = 'alembic_version' OR {writes})) ORDER BY tablename LIMIT 5"
    )
    return list(found.scalars())


def _is_allowed(made: Database, statement: str) -> bool:
    """Whether a statement is not refused for lack of rights. It is rolled back, and waits for nobody."""
    try:
        with made.engine.connect() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '200ms'")
            try:
                connection.exec_driver_sql(statement)
            finally:
                connection.rollback()
    except sa.exc.DBAPIError as error:
        return getattr(error.orig, "sqlstate", None) != "42501"  # insufficient_privilege
    return True


def connections(patient: Patient) -> Iterator[Finding]:
    """Each connection: its connector, settings, secrets and state."""
    made = patient.readable
    if made is None:
        return
    with made.read() as connection:
        rows = connection.execute(sa.select(_CONNECTION).order_by(_CONNECTION.c.name)).mappings().all()
        waiting = {
            row.connection_id
            for merchant_id in {row["merchant_id"] for row in rows}
            for row in restored.waiting(connection, merchant_id)
        }
        well = 0
        for row in rows:
            found = list(_of_connection(patient, connection, dict(row)))
            if row["id"] in waiting:
                found.append(
                    warning(
                        f"{row['name']} came out of a backup and sends nothing",
                        "`hub prove --remote`, then `hub outbox release`",
                    )
                )
            yield from found
            well += not found
    if well or not rows:
        yield ok(f"{well} of {len(rows)} are well")


def _of_connection(patient: Patient, connection: Connection, row: dict[str, Any]) -> Iterator[Finding]:
    name = row["name"]
    try:
        manifest = patient.registry.get(row["connector"]).manifest
    except UnknownConnector:
        yield fault(
            f"{name}: there is no connector {row['connector']}", "install its package, or put it into connectors/"
        )
        return
    except ManifestError as error:
        yield fault(f"{name}: connector {row['connector']} cannot be used: {error.problems[0]}", "see `hub lint`")
        return
    settings = json.loads(row["settings"])
    try:
        split_settings(manifest, settings, dict.fromkeys(manifest.secret_names(), ""))
    except SettingsError as error:
        yield fault(
            f"{name}: its settings do not fit: {error}", "correct connections.yaml, then `hub connections apply`"
        )
    if row["secrets"] is not None and patient.roots and patient.database is not None:
        try:
            Vault(patient.roots, patient.database.ids).open(
                connection, row["merchant_id"], row["secrets"], table="connection", column="secrets", row=row["id"]
            )
        except VaultError as error:
            yield fault(f"{name}: {error}", f"set its secrets again: `hub connections secrets {name}`")
    connect = (
        "connect it again in the console" if isinstance(manifest.auth, OAuth2) else f"hub connections check {name}"
    )
    if row["status"] == "reconnect_needed":
        yield fault(f"{name} no longer lets the hub in: its deliveries and reads wait", connect)
    elif row["down_since"] is not None:
        yield warning(
            f"{name} has been down since {instant_text(row['down_since'])} ({row['down_reason']}): its deliveries and reads "
            f"wait, the hub asks it again at {instant_text(row['probe_at'])}",
            f"see its status page; `hub connections check {name}` asks it at once"
            if manifest.check
            else "see its status page",
        )
    elif row["status"] == "new":
        yield warning(f"{name} was never connected", connect)


def flows(patient: Patient) -> Iterator[Finding]:
    """Flows that are refused, and files that do not lint."""
    made = patient.readable
    refused: list[str] = []
    if made is not None and patient.roots:
        home = patient.settings.home
        source = activation.FlowSource(made, Vault(patient.roots, made.ids), patient.registry, [home])
        with made.read() as connection:
            merchants = connection.execute(sa.select(_MERCHANT.c.id)).scalars().all()
        refused = [str(problem) for merchant_id in merchants for problem in activation.load(source, merchant_id)[1]]
    result = lint.lint(patient.settings)
    problems = [f"{each['file']}:{each['line']}:{each['column']}: {each['message']}" for each in result["problems"]]
    for text in list(dict.fromkeys(refused))[:_SHOWN]:
        yield fault(f"refused: {text}", "correct it; until then the version that ran before goes on, if there was one")
    for text in problems[:_SHOWN]:
        if not any(text in each for each in refused):
            yield warning(text, "see `hub lint`")
    if not refused and not problems:
        yield ok(f"{result['checked']['flows']} flows and {result['checked']['mappings']} mappings lint")


def alerts(patient: Patient) -> Iterator[Finding]:
    """The rules of `alerts.yaml`: by a file that is wrong nobody is told of anything."""
    rules = load_alerts(patient.settings.home)
    for problem in list(rules.problems)[:_SHOWN]:
        yield fault(f"nobody is told of anything: {problem}", f"correct it, then `hub lint {ALERTS}`")
    if not rules.problems:
        yield ok(f"{len(rules.rules)} rules")


def questions(patient: Patient) -> Iterator[Finding]:
    """What waits for a person."""
    made = patient.readable
    if made is None:
        return
    with made.read() as connection:
        rows = connection.execute(
            sa.select(QUESTION.c.kind, sa.func.count())
            .where(sa.text("question.state = 'open'"))
            .group_by(QUESTION.c.kind)
        ).all()
    if rows:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(map(tuple, rows)))
        yield warning(f"{sum(count for _, count in rows)} wait for a person: {kinds}", "`hub questions list`")
    else:
        yield ok("none is open")


def events(patient: Patient) -> Iterator[Finding]:
    """The oldest event that is not worked."""
    made = patient.readable
    if made is None:
        return
    with made.read() as connection:
        oldest = connection.execute(
            sa.select(sa.func.min(_INBOX.c.received_at)).where(_INBOX.c.state.in_(OPEN_EVENTS))
        ).scalar_one()
    if oldest is None:
        yield ok("all are worked")
        return
    age = (now_us() - oldest) / 1_000_000
    if age < _OLD_S:
        yield ok(f"the oldest that is not worked came {age:.0f} s ago")
    elif patient.sqlite_file is not None and not running.is_locked(patient.settings.home):
        yield warning(f"some wait for {age / 60:.0f} min, and no hub runs", "start it: `hub up`")
    else:
        yield warning(
            f"the oldest waits for {age / 60:.0f} min", "`hub inbox`: a read that fails, or more than can be worked"
        )
