"""What the core refuses, in a form that can be shown as a question and answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class CoreError(Exception):
    """A command that the core refuses. The message says what, where and what to do.

    `kind` names the question (`sku.unknown`), `subject` what it is about (`order:12`), `details` what was found and
    `answers` what a person may answer, each `{"answer": ..., "needs": [...], "text": ...}`.
    """

    kind = "core.refused"

    def __init__(
        self,
        message: str,
        *,
        kind: str | None = None,
        subject: str = "",
        details: dict[str, Any] | None = None,
        answers: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        if kind is not None:
            self.kind = kind
        self.subject = subject
        self.details = details or {}
        self.answers = list(answers)
