"""Rate limits of the connected systems, kept beforehand: a request goes out only when the system's quota holds it."""

from hub.connect.limits.gate import FREE, Free, Limits, Permit
from hub.connect.limits.turns import turn

__all__ = ["FREE", "Free", "Limits", "Permit", "turn"]
