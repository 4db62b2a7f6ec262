"""A folder of this machine. It lies under HUB_FILES_ROOT, which the operator sets and no setting of a connection leaves."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from hub.connect.errors import NotSent, Refused
from hub.connect.links import Link

from .folder import Entry

ROOT = "HUB_FILES_ROOT"
#: what a person has to put right; other errors of the system may pass
_FINAL = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP)
#: file systems without hard links
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


class LocalFolder:
    """Works through the folder's own descriptor, so that a link put in its way later leads nowhere."""

    def __init__(self, link: Link, path: str) -> None:
        self._name = link.name
        root = os.environ.get(ROOT)
        if not root:
            raise Refused(f"{link.name}: {ROOT} is not set: the operator names the folder that connections may use")
        top = Path(root).resolve()
        wanted = (top / path.lstrip("/")).resolve()
        if not path or not wanted.is_relative_to(top):
            raise Refused(f"{link.name}: {path!r} is not a folder under {ROOT}")
        self._shown = path
        with self._system(f"opening {path}"):
            self._fd = os.open(wanted, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)

    def entries(self) -> list[Entry]:
        with self._system("listing"), os.scandir(self._fd) as found:
            return [made for each in found if (made := self.entry(each.name)) is not None]

    def entry(self, name: str) -> Entry | None:
        try:
            # a folder below may be a link to elsewhere: it is opened as itself first
            with self._below(name) as (fd, last):
                known = os.stat(last, dir_fd=fd, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise self._error(f"looking at {name}", error) from error
        if not stat.S_ISREG(known.st_mode):
            return None
        return Entry(name, known.st_size, int(known.st_mtime))

    def read(self, name: str, limit: int) -> bytes | None:
        if self.entry(name) is None:
            return None
        with self._system(f"reading {name}"), self._below(name) as (fd, last):
            file = os.open(last, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
            with os.fdopen(file, "rb") as stream:
                return stream.read(limit)

    def put(self, name: str, content: bytes) -> None:
        self.remove(name)
        with self._system(f"writing {name}"):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(name, flags, 0o640, dir_fd=self._fd), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())

    def publish(self, temporary: str, name: str) -> bool:
        with self._system(f"renaming {temporary}"):
            try:
                # unlike a rename, a hard link never takes the place of a file
                os.link(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd, follow_symlinks=False)
                os.unlink(temporary, dir_fd=self._fd)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                if self.entry(name) is not None:
                    return False
                os.rename(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
            os.fsync(self._fd)
        return True

    def move(self, name: str, target: str) -> None:
        with self._system(f"moving {name} to {target}"):
            with contextlib.suppress(FileExistsError):
                os.mkdir(target.partition("/")[0], 0o750, dir_fd=self._fd)
            with self._below(target) as (fd, last):
                os.replace(name, last, src_dir_fd=self._fd, dst_dir_fd=fd)

    def remove(self, name: str) -> None:
        with self._system(f"removing {name}"), contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def close(self) -> None:
        os.close(self._fd)

    @contextlib.contextmanager
    def _below(self, name: str):  # type: ignore[no-untyped-def]
        """The descriptor of the folder that a name is in, and the name in it."""
        first, slash, last = name.partition("/")
        if not slash:
            yield self._fd, name
            return
        fd = os.open(first, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self._fd)
        try:
            yield fd, last
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _system(self, doing: str):  # type: ignore[no-untyped-def]
        try:
            yield
        except OSError as error:
            raise self._error(doing, error) from error

    def _error(self, doing: str, error: OSError) -> NotSent | Refused:
        kind = Refused if error.errno in _FINAL else NotSent
        return kind(f"{self._name}: {doing}: {error.strerror or type(error).__name__} ({self._shown})")
