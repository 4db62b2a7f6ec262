"""Takes files that others put into the pick-up folder: once each, whole, and moved away once the hub has them.

A poll looks at names and sizes. A file that stayed the same is given to the inbox as one event for each so many rows, named
by name and content; the cursor that commits with these events says so, and only a poll that finds it there moves the file
to `done/` or `error/`. The events are read from wherever it stands, so that a stop at any instant loses nothing, and the
inbox drops what it was given before.
"""

from __future__ import annotations

import fnmatch
import json
import re
import threading
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

from hub.connect import payload
from hub.connect.errors import Refused, Unreadable
from hub.connect.links import Link
from hub.connect.reads import Page
from hub.connect.rows import RowsError, read_rows

from .folder import Entry, Folder, opened

#: files that one page takes, and reads one after the other
_FILES_A_PAGE = 20
_SHOWN_PROBLEMS = 20


@dataclass
class Seen:
    """A file as the last poll saw it. `goes` is where it is moved to once the inbox has it: `done` or `error`."""

    size: int
    modified: int
    #: second at which it was seen like this first
    since: float
    goes: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Taken:
    """A file's content as rows, or what is wrong with it."""

    sha256: str
    size: int
    modified: int
    rows: list[dict[str, Any]] | None
    error: str | None


def poll(link: Link, cursor: str | None) -> Page:
    """A page of files that can be taken; files of the page before are moved away. Raises: ConnectError."""
    pickup = str(link.settings["pickup"])
    if not pickup:
        return Page([], cursor or "{}", False)
    before, now = _remembered(cursor), time.time()
    after: dict[str, Seen] = {}
    items: list[tuple[str, str | None]] = []
    taken = left = 0
    with opened(link, pickup) as folder:
        for entry in sorted(folder.entries(), key=lambda each: (each.modified, each.name)):
            if not _wanted(link, entry.name):
                continue
            seen = before.get(entry.name)
            if seen is None or (seen.size, seen.modified) != (entry.size, entry.modified):
                after[entry.name] = Seen(entry.size, entry.modified, now)
            elif seen.goes:
                if not _moved(link, folder, entry.name, f"{seen.goes}/{moved_name(entry.name, seen.sha256)}"):
                    after[entry.name] = seen
            elif now - seen.since < int(link.settings["settle"]):
                after[entry.name] = seen
            elif taken == _FILES_A_PAGE:
                after[entry.name], left = seen, left + 1
            else:
                found = _take(link, folder, entry)
                if found is None:  # it grew while it was read
                    after[entry.name] = Seen(entry.size, entry.modified, now)
                    continue
                taken += 1
                items += [
                    (f"{entry.name}@{found.sha256}#{part}", f"sha256:{found.sha256}") for part in _parts(link, found)
                ]
                goes = "error" if found.error else "done"
                after[entry.name] = Seen(entry.size, entry.modified, seen.since, goes, found.sha256)
    again = any(not each.goes for each in after.values()) and not int(link.settings["settle"])
    moves = taken > 0 and link.mode != "observe"
    text = json.dumps({name: asdict(seen) for name, seen in after.items()}, separators=(",", ":"), sort_keys=True)
    return Page(items, text, bool(left or again or moves))


def read(link: Link, record_id: str) -> dict[str, Any] | None:
    """The rows of one event of a file, wherever the file stands now; None when it is gone. Raises: ConnectError."""
    match = re.fullmatch(r"(.+)@([0-9a-f]{64})#(\d+)-(\d+)", record_id, re.DOTALL)
    if match is None:
        raise Unreadable(f"{link.name}: {record_id!r} names no rows of a file")
    name, digest, first, last = match[1], match[2], int(match[3]), int(match[4])
    key = (digest, link.settings["encoding"])
    with _lock:
        known = _last.get(link)
    if known is not None and known[0] == key:
        return _record(record_id, name, known[1], first, last)
    with opened(link, str(link.settings["pickup"])) as folder:
        moved = moved_name(name, digest)
        for place in (name, f"done/{moved}", f"error/{moved}"):
            entry = folder.entry(place)
            found = _known(link, folder, entry, digest) if entry is not None else None
            if found is not None:
                with _lock:
                    _last[link] = (key, found)
                return _record(record_id, name, found, first, last)
    return None


def moved_name(name: str, digest: str) -> str:
    """Name of a file once it was taken: its own with a part of its hash, so that another of its name has room."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.{digest[:12]}.{suffix}" if dot and stem else f"{name}.{digest[:12]}"


def _wanted(link: Link, name: str) -> bool:
    """Whether a file is meant for us. One that is being written has a dot first or ends in .tmp, by custom."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False  # a name in no encoding cannot be kept; the README says so
    return fnmatch.fnmatchcase(name, str(link.settings["pattern"])) and name[0] != "." and not name.endswith(".tmp")


def _moved(link: Link, folder: Folder, name: str, target: str) -> bool:
    """Moves a file that the inbox has. A connection that only observes changes nothing over there, and where we may not
    move files they stay: they are not taken again."""
    if link.mode == "observe":
        return False
    try:
        folder.move(name, target)
    except Refused:
        return False
    return True


def _remembered(cursor: str | None) -> dict[str, Seen]:
    try:
        known = json.loads(cursor or "{}")
        return {name: Seen(**each) for name, each in known.items()}
    except (ValueError, TypeError, AttributeError):
        return {}  # nothing is lost: what was taken is known by its name and content


def _take(link: Link, folder: Folder, entry: Entry) -> Taken | None:
    """The content of a file; None when it is no longer as it was listed."""
    largest = int(link.settings["largest"]) * 1_000_000
    if entry.size > largest:
        digest = sha256(f"{entry.name}\n{entry.size}\n{entry.modified}".encode()).hexdigest()
        return Taken(
            digest,
            entry.size,
            entry.modified,
            None,
            f"it has {entry.size} bytes, over the {largest} of the setting `largest`",
        )
    content = folder.read(entry.name, entry.size + 1)
    if content is None or len(content) != entry.size:
        return None
    rows, error = _rows(link, entry.name.rpartition("/")[2], content)
    return Taken(sha256(content).hexdigest(), entry.size, entry.modified, rows, error)


def _rows(link: Link, name: str, content: bytes) -> tuple[list[dict[str, Any]] | None, str | None]:
    try:
        if name.lower().endswith(".json"):
            value = payload.decode(content)
            rows = value if isinstance(value, list) else [value]
            if not all(isinstance(row, dict) for row in rows):
                return None, "a JSON file holds an object, or a list of objects"
            return rows, None
        return read_rows(name, content, encoding=str(link.settings["encoding"])), None
    except Unreadable as error:
        return None, str(error)
    except RowsError as error:
        return None, "; ".join([str(error), *error.problems[:_SHOWN_PROBLEMS]])


def _parts(link: Link, found: Taken) -> list[str]:
    """The rows of each event, `1-500`: named in its id, so that another setting later changes nothing."""
    step, total = max(1, int(link.settings["rows_per_event"])), len(found.rows or ())
    return [f"{first}-{min(first + step - 1, total)}" for first in range(1, total + 1, step)] or ["1-0"]


def _record(record_id: str, name: str, found: Taken, first: int, last: int) -> dict[str, Any]:
    return {
        "id": record_id,
        "name": name,
        "sha256": found.sha256,
        "size": found.size,
        "modified": datetime.fromtimestamp(found.modified, UTC).isoformat(),
        # null where the file cannot be used: `error` says why
        "rows": None if found.rows is None else found.rows[first - 1 : last],
        "first": first,
        "total": None if found.rows is None else len(found.rows),
        "error": found.error,
    }


_lock = threading.Lock()
#: the file that each connection read last, with its hash and encoding: the events of a long file are read one by one
_last: WeakKeyDictionary[Link, tuple[tuple[str, object], Taken]] = WeakKeyDictionary()


def _known(link: Link, folder: Folder, entry: Entry, digest: str) -> Taken | None:
    """The content of a file, if it is the one of this hash."""
    found = _take(link, folder, entry)
    if found is None or found.sha256 == digest:
        return found
    if found.error and found.size > int(link.settings["largest"]) * 1_000_000:
        return replace(found, sha256=digest)  # it was told by its name and size, and moving it changed its name
    return None
