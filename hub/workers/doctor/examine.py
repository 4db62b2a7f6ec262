"""Runs all checks. A check that fails is a fault of its own; it never takes the others with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from hub.workers.doctor import contents, machine
from hub.workers.doctor.findings import Check, Finding, Patient, State, fault
from hub.workers.settings import Settings

#: in an order in which a check finds what it needs
CHECKS: dict[str, Check] = {
    "home": machine.home,
    "connectors": contents.connectors,
    "database": contents.database,
    "rights": contents.rights,
    "key": machine.key,
    "disk": machine.disk,
    "clock": machine.clock,
    "process": machine.process,
    "redis": machine.redis_server,
    "address": machine.public_address,
    "connections": contents.connections,
    "flows": contents.flows,
    "alerts": contents.alerts,
    "questions": contents.questions,
    "events": contents.events,
}


def examine(settings: Settings, *, online: bool = False, checks: Mapping[str, Check] = CHECKS) -> dict[str, Any]:
    """`{ok, findings: [{check, state, text, mend}]}`; not ok when there is a fault. `online`: systems outside are asked, too.
    Changes nothing."""
    patient = Patient(settings, online=online)
    try:
        found = [
            {
                "check": finding.check,
                "state": finding.state.value,
                "text": patient.without_secrets(finding.text),
                "mend": patient.without_secrets(finding.mend),
            }
            for name, check in checks.items()
            for finding in _run(name, check, patient)
        ]
    finally:
        if patient.database is not None:
            patient.database.dispose()
    return {"ok": all(each["state"] != State.FAULT for each in found), "findings": found}


def _run(name: str, check: Check, patient: Patient) -> Iterator[Finding]:
    found: list[Finding] = []
    try:
        for finding in check(patient):
            found.append(finding)
    except Exception as error:  # noqa: BLE001 - a broken hub is what this is for: the other checks go on
        reason = " ".join(str(error).split())[:300]
        found.append(fault(f"it could not be looked at: {type(error).__name__}: {reason}", "see the other lines first"))
    for finding in found:
        yield replace(finding, check=name)
