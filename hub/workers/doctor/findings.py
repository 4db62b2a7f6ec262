"""What a check says: one line, with its state and how to mend it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote

from hub.connect.registry import Registry
from hub.connect.rootkeys import ENVIRONMENT, RootKey
from hub.db.engine import BadDatabaseUrl, Database
from hub.workers.admin.setup import sqlite_file
from hub.workers.settings import Settings


class State(StrEnum):
    """`fault`: the hub does not do its work, or will not; `warning`: it does, and somebody should look."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor."""

    state: State
    text: str
    #: what to do; empty when there is nothing to mend
    mend: str = ""
    check: str = ""


@dataclass
class Patient:
    """The hub that is looked at, and what the checks so far found usable of it."""

    settings: Settings
    #: systems outside may be asked
    online: bool = False
    registry: Registry = field(default_factory=lambda: Registry({}))
    #: set when the database answers; its tables are those of this release when `migrated`
    database: Database | None = None
    migrated: bool = False
    roots: list[RootKey] = field(default_factory=list)

    @property
    def readable(self) -> Database | None:
        """The database, where its tables can be read."""
        return self.database if self.migrated else None

    @property
    def sqlite_file(self) -> Path | None:
        """The file of a SQLite database; None for any other, and for a URL that cannot be read."""
        try:
            return sqlite_file(self.settings)
        except BadDatabaseUrl:
            return None

    def without_secrets(self, text: str) -> str:
        """A text without the passwords and keys of the settings, whoever put them into it."""
        secrets = os.environ.get(ENVIRONMENT, "").split(",")
        for url in (self.settings.database_url, self.settings.database_admin_url, self.settings.redis_url):
            secrets += _passwords(url)
        for secret in sorted(filter(None, map(str.strip, secrets)), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


Check = Callable[[Patient], Iterator[Finding]]


def ok(text: str) -> Finding:
    return Finding(State.OK, text)


def warning(text: str, mend: str) -> Finding:
    return Finding(State.WARNING, text, mend)


def fault(text: str, mend: str) -> Finding:
    return Finding(State.FAULT, text, mend)


def _passwords(url: str) -> list[str]:
    """The password of a URL as it is written and as it is meant, or what stands where one would."""
    raw = url.rpartition("@")[0].rpartition("//")[2].partition(":")[2]
    return [raw, unquote(raw)]
