"""The steps of the language, one file each. A file holds the step's settings, how it is compiled and what it does."""

from __future__ import annotations

from hub.flows.compiling import StepKind
from hub.flows.steps import (
    call,
    day_digest,
    deliver,
    emit,
    fetch,
    for_each,
    item_sync,
    ledger_totals,
    lookup,
    map,
    order_sync,
    set,
    shipment_record,
    stock_move,
    stock_observe,
    stop,
    switch,
    validate,
    when,
)

KINDS: dict[str, StepKind] = {
    module.KIND.name: module.KIND
    for module in (
        map,
        set,
        validate,
        when,
        switch,
        for_each,
        call,
        lookup,
        fetch,
        order_sync,
        stock_move,
        stock_observe,
        item_sync,
        shipment_record,
        ledger_totals,
        day_digest,
        deliver,
        emit,
        stop,
    )
}
