"""Errors as one line on stderr: what, where, what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class CommandError(Exception):
    """A command that cannot be done. `problems` are printed under it, one a line."""

    def __init__(self, message: str, problems: list[str] | None = None, exit_code: int = 1) -> None:
        super().__init__(message)
        self.problems = problems or []
        self.exit_code = exit_code


@contextmanager
def shown() -> Iterator[None]:
    """Prints what a command refuses and ends with its exit code; a fault of ours keeps its traceback."""
    try:
        yield
    except CommandError as error:
        _print(str(error), error.problems)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        _print(str(error), list(getattr(error, "problems", ())))
        sys.exit(code)


def _exit_code(error: Exception) -> int | None:
    # compared by name: importing what raises them would cost every command half a second
    names = {kind.__name__ for kind in type(error).__mro__}
    if "AlreadyRunning" in names:
        return 2
    if names & {"AdminError", "VaultError", "ConnectError", "ScaffoldRefused"}:
        return 1
    if "BadDatabaseUrl" in names:
        error.args = (f"HUB_DATABASE_URL or HUB_DATABASE_ADMIN_URL cannot be used: {error}",)
        return 1
    if "OperationalError" in names:
        error.args = (f"the database cannot be used: {getattr(error, 'orig', error)}",)
        return 1
    return None


def _print(message: str, problems: list[str]) -> None:
    print(f"hub: {message}", file=sys.stderr)
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
