"""Writes one file: under a passing name first, then renamed at one stroke, so that nobody reads half of it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from hub.connect.errors import NotSent, Refused
from hub.connect.links import Link
from hub.connect.operations import Call, Confirmed, Uncertain

from .content import content_of
from .folder import Folder, opened, safe_name


def write(link: Link, call: Call) -> Confirmed | Uncertain:
    """`file.write`. A file that is there with the same content is done. Raises: NotSent (before the renaming), Cut (in
    it), Refused, also for a name that is taken by other content."""
    name, content, digest = _wanted(link, call)
    # one that is left of an attempt that was cut is written again
    temporary = f"{name}.{digest[:8]}.tmp"
    with opened(link, str(link.settings["folder"])) as folder:
        if there := _there(link, folder, name, content, digest):
            return there
        if not call.first_attempt and link.settings["taken_away"] and folder.entry(temporary) is None:
            return Uncertain(
                f"{link.name}: an earlier attempt may have written {name}, and the other side may have taken it away since"
            )
        folder.put(temporary, content)
        if not folder.publish(temporary, name):
            folder.remove(temporary)
            there = _there(link, folder, name, content, digest)
            if there is None:
                raise NotSent(f"{link.name}: {name} came and went while it was written")
            return there
    return _done(name, content, digest)


def find(link: Link, call: Call) -> Confirmed | None:
    """The file of an earlier attempt. Raises: ConnectError, Refused when its name has other content."""
    name, content, digest = _wanted(link, call)
    with opened(link, str(link.settings["folder"])) as folder:
        return _there(link, folder, name, content, digest)


def _wanted(link: Link, call: Call) -> tuple[str, bytes, str]:
    body: dict[str, Any] = call.body if isinstance(call.body, dict) else {}
    name, content = safe_name(link, body.get("name")), content_of(link, body)
    return name, content, sha256(content).hexdigest()


def _there(link: Link, folder: Folder, name: str, content: bytes, digest: str) -> Confirmed | None:
    known = folder.entry(name)
    if known is None:
        return None
    # one byte more than ours tells a longer file, whatever its size
    found = folder.read(name, len(content) + 1) if known.size == len(content) else b""
    if found is None:
        return None
    if found != content:
        raise Refused(
            f"{link.name}: there is a file {name} with other content already: take it away, or drop this one",
            {"name": name, "size_there": known.size, "size": len(content)},
        )
    return _done(name, content, digest)


def _done(name: str, content: bytes, digest: str) -> Confirmed:
    return Confirmed(name, {"name": name, "size": len(content), "sha256": digest})
