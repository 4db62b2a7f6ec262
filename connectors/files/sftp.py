"""A folder of an SFTP server. Nothing is said to a server that does not show the key it is known by."""

from __future__ import annotations

import io
import logging
import socket
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from posixpath import join
from typing import Any

import paramiko

from hub.connect.errors import Cut, NotSent, ReconnectNeeded, Refused
from hub.connect.links import Link

from .folder import Entry, is_file

# how a session ended is said by the errors here, with the connection that it was of
logging.getLogger("paramiko").setLevel(logging.CRITICAL)
_KEYS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


class SftpFolder:
    """One session of an SFTP server and one folder there."""

    def __init__(self, link: Link, path: str) -> None:
        self._name, self._path = link.name, path
        self._transport = _session(link)
        try:
            with self._asked("opening SFTP"):
                client = paramiko.SFTPClient.from_transport(self._transport)
                assert client is not None
                client.get_channel().settimeout(float(link.settings["timeout"]))
                self._sftp = client
        except BaseException:
            self.close()
            raise

    def entries(self) -> list[Entry]:
        with self._asked(f"listing {self._path}"):
            # mode, size and time come with the list; a link's mode is its own
            return [
                Entry(each.filename, int(each.st_size or 0), int(each.st_mtime or 0))
                for each in self._sftp.listdir_attr(self._path)
                if is_file(each.st_mode)
            ]

    def entry(self, name: str) -> Entry | None:
        with self._asked(f"looking at {name}"):
            try:
                known = self._sftp.lstat(self._at(name))
            except FileNotFoundError:
                return None
        return Entry(name, int(known.st_size or 0), int(known.st_mtime or 0)) if is_file(known.st_mode) else None

    def read(self, name: str, limit: int) -> bytes | None:
        if self.entry(name) is None:
            return None
        with self._asked(f"reading {name}"), self._sftp.open(self._at(name), "rb") as file:
            return bytes(file.read(limit))

    def put(self, name: str, content: bytes) -> None:
        with self._asked(f"writing {name}"):
            with self._sftp.open(self._at(name), "wb") as file:
                file.set_pipelined(True)
                file.write(content)
            size = self._sftp.stat(self._at(name)).st_size
        if size != len(content):
            raise NotSent(f"{self._name}: {name} has {size} of {len(content)} bytes on the server")

    def publish(self, temporary: str, name: str) -> bool:
        if self.entry(name) is not None:
            return False
        try:
            # the plain rename of SFTP, which takes no file's place
            with self._asked(f"renaming {temporary}", lost=Cut):
                self._sftp.rename(self._at(temporary), self._at(name))
        except NotSent:
            if self.entry(name) is not None:
                return False
            raise
        return True

    def move(self, name: str, target: str) -> None:
        with self._asked(f"moving {name} to {target}"):
            with suppress(OSError):  # it is there already; what else is wrong is said by the rename
                self._sftp.mkdir(self._at(target.partition("/")[0]))
            with suppress(FileNotFoundError):
                self._sftp.remove(self._at(target))
            self._sftp.rename(self._at(name), self._at(target))

    def remove(self, name: str) -> None:
        with self._asked(f"removing {name}"), suppress(FileNotFoundError):
            self._sftp.remove(self._at(name))

    def close(self) -> None:
        self._transport.close()

    def _at(self, name: str) -> str:
        return join(self._path, name)

    @contextmanager
    def _asked(self, doing: str, *, lost: type[NotSent | Cut] = NotSent) -> Iterator[None]:
        """Errors of the library as the kit's. `lost`: what a session that ends without an answer means."""
        try:
            yield
        except (FileNotFoundError, PermissionError) as error:
            raise Refused(f"{self._name}: {doing}: {error.strerror}") from error
        except (EOFError, TimeoutError, paramiko.SSHException) as error:
            raise lost(f"{self._name}: {doing}: the session ended ({type(error).__name__})") from error
        except OSError as error:
            if not self._transport.is_active():
                raise lost(f"{self._name}: {doing}: the session ended ({type(error).__name__})") from error
            # the server answered that it failed, for a reason that SFTP has no word for: a full disk, a name that is taken
            raise NotSent(f"{self._name}: {doing}: the server says {str(error)[:100]!r}") from error


def _session(link: Link) -> paramiko.Transport:
    """A session with the server, logged in. Raises: NotSent, Refused, ReconnectNeeded."""
    host, port = str(link.settings.get("host") or ""), int(link.settings["port"])
    timeout = float(link.settings["timeout"])
    if not host or not link.settings.get("username"):
        raise Refused(f"{link.name}: set host and username")
    pinned = _pinned(link)
    try:
        transport = paramiko.Transport(socket.create_connection((host, port), timeout))
    except OSError as error:
        raise NotSent(f"{link.name}: no connection to {host}:{port} ({type(error).__name__})") from error
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = timeout
    try:
        # the server is to show the kind of key that is pinned, where it has several
        names = {key.get_name() for key in pinned}
        options = transport.get_security_options()
        options.key_types = tuple(
            each for each in options.key_types if each in names or (each.startswith("rsa-") and "ssh-rsa" in names)
        )
        transport.start_client(timeout=timeout)
        shown = transport.get_remote_server_key()
        if shown not in pinned:
            raise ReconnectNeeded(
                f"{link.name}: {host} shows a key that is not the pinned one ({shown.get_name()} {shown.fingerprint}): "
                "ask its operator, then set host_key"
            )
        _log_in(link, transport)
    except paramiko.AuthenticationException as error:
        transport.close()
        # the error's text may repeat what was sent: it is not passed on
        raise ReconnectNeeded(f"{link.name}: {host} refuses the log-in ({type(error).__name__})") from None
    except paramiko.IncompatiblePeer as error:
        transport.close()
        raise ReconnectNeeded(
            f"{link.name}: {host} has no key of the pinned kind, or speaks no safe SSH: {error}"
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        transport.close()
        raise NotSent(f"{link.name}: no session with {host}:{port} ({type(error).__name__})") from error
    except BaseException:
        transport.close()
        raise
    return transport


def _log_in(link: Link, transport: paramiko.Transport) -> None:
    user, key = str(link.settings["username"]), link.secrets.get("private_key")
    if key:
        transport.auth_publickey(user, _private(link, key))
    elif password := link.secrets.get("password"):
        transport.auth_password(user, password, fallback=False)
    else:
        raise ReconnectNeeded(f"{link.name}: set private_key, or password")


def _private(link: Link, text: str) -> Any:
    for kind in _KEYS:
        try:
            return kind.from_private_key(io.StringIO(text.strip() + "\n"), link.secrets.get("passphrase") or None)
        except paramiko.PasswordRequiredException:
            raise ReconnectNeeded(f"{link.name}: the private key is locked: set passphrase") from None
        except (paramiko.SSHException, ValueError, IndexError, TypeError):
            continue
    raise ReconnectNeeded(
        f"{link.name}: private_key cannot be read, or its passphrase is another: OpenSSH or PEM is needed"
    )


def _pinned(link: Link) -> list[Any]:
    """The keys that the server may show. Raises: Refused."""
    keys = []
    for line in str(link.settings.get("host_key") or "").replace("\n", ",").split(","):
        words = line.split()
        if not words:
            continue
        # a line of known_hosts begins with names
        kind = next((index for index, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-"))), None)
        try:
            assert kind is not None
            keys.append(paramiko.PKey.from_type_string(words[kind], b64decode(words[kind + 1], validate=True)))
        except Exception as error:
            raise Refused(f"{link.name}: host_key is no public key such as `ssh-ed25519 AAAA...`") from error
    if not keys:
        raise Refused(f"{link.name}: set host_key: the server's public key, as its operator tells it")
    return keys
