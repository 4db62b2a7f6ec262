"""The folder that the settings name, on this machine or on an SFTP server, behind one face."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from hub.connect.errors import Refused
from hub.connect.links import Link

_LONGEST_NAME = 200


@dataclass(frozen=True)
class Entry:
    """A regular file. `size` in bytes, `modified` in seconds since 1970."""

    name: str
    size: int
    modified: int


class Folder(Protocol):
    """What can be done in a folder. Every name is one of a file in it, or of one in a folder right below (`done/a.csv`).

    Errors: NotSent where nothing can have changed, Cut where it may have, Refused, ReconnectNeeded."""

    def entries(self) -> list[Entry]:
        """Its regular files: no folders, no links."""

    def entry(self, name: str) -> Entry | None:
        """A regular file; None when there is none of this name."""

    def read(self, name: str, limit: int) -> bytes | None:
        """The content of a file, no more than `limit` bytes; None when it is gone."""

    def put(self, name: str, content: bytes) -> None:
        """Writes a file whole; one of this name is replaced."""

    def publish(self, temporary: str, name: str) -> bool:
        """Gives a file its final name at one stroke. False, with nothing changed, when that name is taken."""

    def move(self, name: str, target: str) -> None:
        """Moves a file; the folder of the target is made, and a file of that name there is replaced."""

    def remove(self, name: str) -> None:
        """Removes a file; one that is not there is no error."""

    def close(self) -> None: ...


@contextmanager
def opened(link: Link, path: str) -> Iterator[Folder]:
    """The folder of a path of the settings. Raises: NotSent, Refused, ReconnectNeeded."""
    parts = PurePosixPath(path).parts
    if ".." in parts or "\0" in path:
        raise Refused(f"{link.name}: {path!r} leads out of its folder: give a path without `..`")
    if link.settings["place"] == "sftp":
        from .sftp import SftpFolder  # a hub that speaks no SFTP does not load its library

        made: Folder = SftpFolder(link, path or ".")
    else:
        from .local import LocalFolder

        made = LocalFolder(link, path)
    try:
        yield made
    finally:
        made.close()


def safe_name(link: Link, name: object) -> str:
    """The name of a file that the hub writes. Raises: Refused."""
    text = name if isinstance(name, str) else ""
    if not re.fullmatch(r"[^\x00-\x1f\x7f/\\]{1,200}", text) or text.startswith(".") or text != text.strip():
        raise Refused(
            f"{link.name}: {str(name)[:80]!r} is no name of a file: up to {_LONGEST_NAME} characters, no `/`, no dot first"
        )
    if len(text.encode()) > _LONGEST_NAME or text.endswith(".tmp"):
        raise Refused(f"{link.name}: {text[:80]!r} is too long, or ends in .tmp as unfinished files do")
    return text


def is_file(mode: int | None) -> bool:
    """Whether a mode is that of a regular file; servers that send none are believed to list files."""
    return mode is None or stat.S_IFMT(mode) in (0, stat.S_IFREG)


def check(link: Link) -> None:
    """The folders of the settings are there. Raises: ConnectError."""
    for path in dict.fromkeys([str(link.settings["folder"]), str(link.settings["pickup"])]):
        if path or link.settings["place"] == "sftp":
            with opened(link, path) as folder:
                folder.entries()
