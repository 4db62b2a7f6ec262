"""One seed from its beginning to its end, and what it says where something does not hold."""

from __future__ import annotations

import hashlib
import tempfile
import traceback
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from .agreement import Agreement
from .invariants import Broken, Invariants
from .plants import PLANTS
from .schedule import Schedule
from .stage import Stage


@dataclass(frozen=True)
class Outcome:
    """How a seed ended: what does not hold (none: all is well), and its steps."""

    seed: int
    plant: str | None
    wrong: list[str]
    trace: list[str] = field(repr=False)

    @property
    def command(self) -> str:
        """Runs this seed again."""
        return f"python -m tests.simulation --seed {self.seed}" + (f" --plant {self.plant}" if self.plant else "")

    @property
    def digest(self) -> str:
        """Two runs of a seed did the same if they have the same digest."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return "\n".join([f"{self.command}", *(f"  {each}" for each in self.wrong[:10])])


@lru_cache(maxsize=1)
def stage() -> Stage:
    """The stage of this process."""
    return Stage(Path(tempfile.mkdtemp(prefix="hub-simulation-")))


def run(seed: int, plant: str | None = None) -> Outcome:
    """Runs one seed."""
    made = stage()
    with made.still(), PLANTS[plant]() if plant else nullcontext():
        made.begin()
        invariants = Invariants(Path(str(made.file.database.url.database)))
        schedule = Schedule(made, invariants, seed)
        wrong: list[str] = []
        try:
            schedule.run()
            invariants.check_all()
            wrong = Agreement(made).differences(schedule.customers)
        except Broken as broken:
            wrong = [str(broken)]
        except Exception as error:  # noqa: BLE001 - whatever the hub raises is found by the seed
            wrong = [f"{type(error).__name__}: {error}", *traceback.format_exc().splitlines()]
        finally:
            invariants.close()
    return Outcome(seed, plant, wrong, schedule.trace)
