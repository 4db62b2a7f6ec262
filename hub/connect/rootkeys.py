"""Root keys: where they are kept, and the ring of those that a process works with.

They come from `HUB_SECRET_KEY`, or from `HUB_HOME/secret.key`, one a line: the first one seals, all of them open. A process
looks at the file again at least once a second while it uses it, so a key that is added or taken out counts at once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

ENVIRONMENT = "HUB_SECRET_KEY"
#: name of the file in a hub's home
FILE = "secret.key"
_BYTES = 32
#: seconds for which a ring is used without a look at its file
_FRESH_S = 1.0
_log = structlog.get_logger("hub.keys")


class VaultError(Exception):
    """A key is missing or wrong, or a sealed value does not open."""


class NoSecretKey(VaultError):
    """The hub has no secret key: it does not start."""


class KeysElsewhere(VaultError):
    """The keys come from the environment, which a hub cannot write."""


@dataclass(frozen=True)
class RootKey:
    #: its fingerprint, which tells nothing about it
    id: str
    key: bytes = field(repr=False)


def root_key(key: bytes) -> RootKey:
    """A root key with its id."""
    return RootKey(hashlib.sha256(b"hub root key" + key).hexdigest()[:16], key)


def from_environment(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment holds the keys, and not a file."""
    return bool(environment.get(ENVIRONMENT, "").strip())


def load_root_keys(home: Path, environment: Mapping[str, str] = os.environ) -> list[RootKey]:
    """The root keys, the sealing one first: from `HUB_SECRET_KEY`, else from `HUB_HOME/secret.key`.

    Raises: NoSecretKey, VaultError."""
    if from_environment(environment):
        return _parsed(environment[ENVIRONMENT], ENVIRONMENT)
    return _from_file(home / FILE)


def _from_file(file: Path) -> list[RootKey]:
    if not file.is_file():
        raise NoSecretKey(
            f"no secret key: set {ENVIRONMENT} (base64 of 32 bytes) or run `hub init`, which writes {file}"
        )
    if os.name == "posix" and file.stat().st_mode & 0o077:
        raise VaultError(f"{file} can be read by others: run `chmod 600 {file}`")
    return _parsed(file.read_text("ascii"), str(file))


def _parsed(text: str, place: str) -> list[RootKey]:
    return [_one(part, place, number) for number, part in enumerate(re.split(r"\s*[,\n]\s*", text.strip()), 1)]


def _one(text: str, place: str, number: int) -> RootKey:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise VaultError(f"key {number} of {place} is not base64") from None
    if len(key) != _BYTES:
        raise VaultError(f"key {number} of {place} has {len(key)} bytes: {_BYTES} are needed")
    return root_key(key)


def create_secret_key(home: Path) -> Path:
    """Writes a new `HUB_HOME/secret.key`, readable by its owner only. An existing one is kept."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / FILE
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(_text([root_key(secrets.token_bytes(_BYTES))]))
    return file


def _text(roots: Sequence[RootKey]) -> str:
    return "".join(base64.b64encode(root.key).decode() + "\n" for root in roots)


class KeyRing:
    """The root keys of a process, the sealing one first. Safe to share between threads.

    `home`: whose file they are read from again when it changes; without it they stay as they are."""

    def __init__(
        self, roots: Sequence[RootKey], home: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not roots:
            raise NoSecretKey(f"no secret key: set {ENVIRONMENT}")
        self._roots = list(roots)
        #: a link to a file elsewhere stays one
        self._file = None if home is None else (home / FILE).resolve()
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = clock()
        self._stamp: tuple[int, ...] | None = None

    @classmethod
    def of(cls, home: Path) -> KeyRing:
        """The keys of a hub's home, or of the environment. Raises: NoSecretKey, VaultError."""
        roots = load_root_keys(home)
        return cls(roots) if from_environment() else cls(roots, home)

    @property
    def fixed(self) -> bool:
        """Whether the keys come from the environment and stay as they are for as long as the process lives."""
        return self._file is None

    @property
    def place(self) -> str:
        """Where the keys are kept, for messages."""
        return ENVIRONMENT if self._file is None else str(self._file)

    def all(self) -> list[RootKey]:
        """All keys, the sealing one first."""
        if self._clock() - self._looked_at >= _FRESH_S:
            self.look()
        return self._roots

    @property
    def first(self) -> RootKey:
        """The key that seals."""
        return self.all()[0]

    def get(self, key_id: str) -> RootKey | None:
        """A key by its id. One that is not known is looked for in the file."""
        for again in (False, True):
            if again:
                self.look()
            for root in self._roots:
                if root.id == key_id:
                    return root
        return None

    def look(self) -> None:
        """Reads the file again, if it is another one. A file that is gone or wrong changes nothing but the log."""
        if self._file is None:
            return
        with self._lock:
            self._looked_at = self._clock()
            try:
                found = self._file.stat()
                stamp: tuple[int, ...] | None = (found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode)
            except OSError:
                stamp = None
            if stamp == self._stamp:
                return
            try:
                self._roots = _from_file(self._file)
            except (VaultError, OSError, UnicodeDecodeError) as error:
                _log.warning("root keys not read again", file=str(self._file), reason=type(error).__name__)
            self._stamp = stamp

    def add(self) -> RootKey:
        """Makes a new key, which seals from now on, and writes it before the others. Raises: KeysElsewhere, VaultError."""
        made = root_key(secrets.token_bytes(_BYTES))
        self._write([made, *self._read()])
        return made

    def remove(self, key_id: str) -> None:
        """Takes a key out of the file. Raises: KeysElsewhere, VaultError."""
        self._write([root for root in self._read() if root.id != key_id])

    def _read(self) -> list[RootKey]:
        if self._file is None:
            raise KeysElsewhere(f"the keys come from {ENVIRONMENT}")
        return _from_file(self._file)

    def _write(self, roots: Sequence[RootKey]) -> None:
        """Puts a new file in the place of the old one: whole or not at all, for the same owner, on the disk."""
        assert self._file is not None
        for left in self._file.parent.glob(f".{self._file.name}.*"):  # of one that was killed: it holds keys
            left.unlink(missing_ok=True)
        made = self._file.with_name(f".{self._file.name}.{secrets.token_hex(4)}")
        before = self._file.stat()
        try:
            handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as out:
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(out.fileno(), before.st_uid, before.st_gid)
                out.write(_text(roots))
                out.flush()
                os.fsync(out.fileno())
            os.replace(made, self._file)
            folder = os.open(self._file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            made.unlink(missing_ok=True)
            raise VaultError(
                f"{self._file} cannot be written ({error.strerror}): run this as its owner, in a folder that can be written"
            ) from None
        self.look()
