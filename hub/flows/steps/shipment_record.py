"""`shipment.record`: goods left a warehouse; the reserved stock moves and the order knows."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from hub.core.sales.shipments import record_shipment
from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.run import Parked, Run, Step
from hub.records.order import Shipment


class Config(StepConfig):
    """Takes the canonical `shipment` that a mapping made."""


@dataclass
class ShipmentRecord(Step):
    needs_plan: bool = field(default=True, init=False)

    def run(self, run: Run) -> None:
        connection = run.trigger.connection
        if connection is None:
            raise Parked("shipment.connection", "a shipment comes from a connection")
        try:
            shipment = msgspec.convert(run.scope.get("shipment"), Shipment)
        except msgspec.ValidationError as error:
            raise Parked("record.shape", f"the mapped shipment does not fit: {error}") from None
        record_shipment(run.book, shipment, connection.id)
        run.changed.append(f"shipment {shipment.external_id}")


def compile_step(config: Config, context: StepContext) -> ShipmentRecord:
    return ShipmentRecord()


KIND = StepKind("shipment.record", Config, compile_step)
