"""What an admin function refuses: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class AdminError(Exception):
    """A command that cannot be done. `problems`: what is wrong one by one, where there are several."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = list(problems)


class NotThere(AdminError):
    """What the command names does not exist."""
