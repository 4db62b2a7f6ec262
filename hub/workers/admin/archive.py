"""The file of a backup: a compressed tar with a manifest, which names the hash of everything else, in front."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import msgspec

from hub.workers.admin.errors import AdminError

FORMAT = 1
DATABASE = "database"
HOME = "home/"
_MANIFEST = "manifest.json"
_PIECE = 1024 * 1024
_MANIFEST_BYTES = 16 * 1024 * 1024


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a backup."""

    sha256: str
    bytes: Annotated[int, msgspec.Meta(ge=0)]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. Holds no secret."""

    format: int
    #: version of the hub that made it
    hub: str
    #: UTC microseconds: all that was committed before is in it
    made_at: int
    engine: Literal["sqlite", "postgresql"]
    revision: str
    #: rows by table
    counts: dict[str, int]
    #: ids of the root keys that open it; they tell nothing about the keys
    root_keys: list[str]
    files: dict[str, Member]


def member(file: Path) -> Member:
    """Hash and size of a file."""
    with file.open("rb") as source:
        return Member(hashlib.file_digest(source, "sha256").hexdigest(), file.stat().st_size)


def write(target: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Writes a backup that only its owner can read, and reads it again. It is there whole or not at all.

    Raises: AdminError when the file exists, cannot be written, or does not hold what it should."""
    if target.exists():
        raise AdminError(f"{target} exists already: a backup takes the place of no other")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out:
            with tarfile.open(fileobj=out, mode="w:gz", compresslevel=6) as tar:
                text = msgspec.json.encode(manifest)
                tar.addfile(_entry(_MANIFEST, len(text)), io.BytesIO(text))
                for name, file in files.items():
                    with file.open("rb") as source:
                        tar.addfile(_entry(name, manifest.files[name].bytes), source)
            out.flush()
            os.fsync(out.fileno())
        with opened(part) as (_, read):
            read(None)
        os.replace(part, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise AdminError(f"{target} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def opened(file: Path) -> Iterator[tuple[Manifest, Callable[[Path | None], None]]]:
    """The manifest of a backup, and what reads the rest: each file is checked, and written below a folder if one is given.

    Raises: AdminError when it is no backup, of a format that is not known, or damaged."""
    with contextlib.ExitStack() as stack:
        with _reading(file):
            tar = stack.enter_context(tarfile.open(file, mode="r|gz"))
            manifest = _manifest(file, tar)
        yield manifest, lambda into: _read(file, tar, manifest, into)


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[None]:
    """What fails in reading a backup. What its caller does with what was read is no fault of the file."""
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        raise AdminError(f"{file} cannot be read as a backup: {reason}") from None


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AdminError(f"{target} cannot be written: {error.strerror or error}") from None


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def _manifest(file: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    if first is None or first.name != _MANIFEST or not first.isreg() or first.size > _MANIFEST_BYTES:
        raise AdminError(f"{file} is no backup of a hub: it has no manifest in front")
    source = tar.extractfile(first)
    assert source is not None
    try:
        data: Any = msgspec.json.decode(source.read())
        if isinstance(data, dict) and data.get("format") != FORMAT:
            raise AdminError(
                f"{file} has format {data.get('format')}, this release reads {FORMAT}: use the release it is of"
            )
        return msgspec.convert(data, Manifest)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise AdminError(f"{file}: its manifest cannot be used: {error}") from None


def _read(file: Path, tar: tarfile.TarFile, manifest: Manifest, into: Path | None) -> None:
    missing = dict(manifest.files)
    while (entry := _next(file, tar)) is not None:
        expected = missing.pop(entry.name, None)
        # names come from the manifest and stay below the folder; nothing else is ever written
        if expected is None or not entry.isreg() or not _inside(entry.name):
            raise AdminError(f"{file} holds {entry.name!r}, which its manifest does not name: it was changed")
        found = _copied(_pieces(file, tar, entry), None if into is None else into / entry.name)
        if found != expected:
            raise AdminError(f"{file}: {entry.name} is not what was backed up: the file is damaged")
    if missing:
        raise AdminError(f"{file} is cut off: {', '.join(sorted(missing)[:3])} is missing")


def _next(file: Path, tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    with _reading(file):
        return tar.next()


def _pieces(file: Path, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> Iterator[bytes]:
    with _reading(file):
        source = tar.extractfile(entry)
    assert source is not None
    while True:
        with _reading(file):
            piece = source.read(_PIECE)
        if not piece:
            return
        yield piece


def _copied(pieces: Iterable[bytes], target: Path | None) -> Member:
    """Hash and size of what was read, written to a new file if one is given."""
    digest, size = hashlib.sha256(), 0
    with contextlib.ExitStack() as stack:
        out = None
        if target is not None:
            stack.enter_context(_writing(target))
            out = stack.enter_context(_created(target))
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            if out is not None:
                out.write(piece)
    return Member(digest.hexdigest(), size)


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and (name == DATABASE or name.startswith(HOME))


def _created(file: Path) -> Any:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
