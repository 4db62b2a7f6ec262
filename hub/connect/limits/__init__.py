"""Rate limits of the connected systems, kept beforehand: a request goes out only when the system's quota holds it."""

from hub.connect.limits.gate import FREE, Free, Gate, Limits, Permit
from hub.connect.limits.turns import Kind, Turn, turn

__all__ = ["FREE", "Free", "Gate", "Kind", "Limits", "Permit", "Turn", "turn"]
