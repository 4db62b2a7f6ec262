"""Makes a backup of a hub, running or not: its database, connections, alerts, flows, mappings and connectors. Never its key."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub
from hub.db import dump
from hub.db.types import instant_text
from hub.workers.admin import archive
from hub.workers.admin.errors import AdminError
from hub.workers.admin.setup import there
from hub.workers.alerts.rules import FILE as ALERTS
from hub.workers.settings import Settings

#: what of the home is backed up beside the database
_FOLDERS = ("flows", "mappings", "connectors")
_FILES = ("connections.yaml", ALERTS)
#: what a home keeps apart
_NEVER = ("secret.key", "__pycache__")


def backup(settings: Settings, file: Path) -> dict[str, Any]:
    """Writes a backup into a new file: all that was committed when it began, consistent though the hub goes on. Raises:
    AdminError."""
    there(settings)
    file = file.absolute()
    if not file.parent.is_dir():
        raise AdminError(f"there is no folder {file.parent}: make it first")
    if file.exists():
        raise AdminError(f"{file} exists already: a backup takes the place of no other")
    # beside the backup: there is the room for it, and nobody else may read it
    with tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as folder:
        database = Path(folder) / archive.DATABASE
        try:
            copy = dump.dump(settings.database_admin_url or settings.url, database)
        except dump.DumpError as error:
            raise AdminError(str(error)) from None
        if copy.revision is None:
            raise AdminError("the database has no revision: it was never made whole, see `hub doctor`")
        files = {archive.DATABASE: database} | {archive.HOME + name: path for name, path in _of_home(settings.home)}
        manifest = archive.Manifest(
            format=archive.FORMAT,
            hub=hub.__version__,
            made_at=copy.made_at,
            engine="sqlite" if copy.engine == "sqlite" else "postgresql",
            revision=copy.revision,
            counts=copy.counts,
            root_keys=copy.root_keys,
            files={name: archive.member(path) for name, path in files.items()},
        )
        archive.write(file, manifest, files)
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "made_at": instant_text(copy.made_at),
        "engine": manifest.engine,
        "revision": manifest.revision,
        "counts": manifest.counts,
        "files": sorted(name.removeprefix(archive.HOME) for name in files if name != archive.DATABASE),
        "root_keys": manifest.root_keys,
    }


def _of_home(home: Path) -> Iterator[tuple[str, Path]]:
    """The files of a home that are backed up, by their path below it."""
    found = [home / name for name in _FILES]
    for folder in _FOLDERS:
        found += sorted((home / folder).rglob("*"))
    for path in found:
        name = path.relative_to(home)
        hidden = any(part in _NEVER or part.startswith(".") for part in name.parts)
        if path.is_file() and not hidden and path.resolve().name not in _NEVER:
            yield name.as_posix(), path
