"""The lab: a hub with a small system of its own."""

from lab_hub import lab

__all__ = ["lab"]
