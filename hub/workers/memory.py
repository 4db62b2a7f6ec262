"""How Python's cycle collector is set for a hub."""

from __future__ import annotations

import gc


def tune() -> None:
    """Looks for cycles rarely: a batch makes many thousands of rows that reference counting frees by itself, and looking
    through them again and again took up to half of its time. What the process loaded at its start is not looked at."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
