"""Faults planted before the comparison, behind the hub's back, to show that the comparison finds and names them."""

from __future__ import annotations

from hub.cli.demo import scenario
from hub.cli.demo.stage import Stage

#: of the fault: which of the invoices in QuickBooks, and what its sandbox does to it
_TAMPER = {"cent": (0, "add_cent"), "deleted": (1, "delete"), "doubled": (2, "duplicate")}
FAULTS = (*_TAMPER, "unit")


def plant(stage: Stage, fault: str) -> str:
    """Spoils one thing. Returns its name in the comparison: the number of an invoice, or a SKU."""
    if fault == "unit":
        # a hub at work would look at the shop's number and ask about it
        stage.hub("POST", "/api/connections/shop/mode", json={"mode": "paused"})
        sku = scenario.CATALOGUE[0][0]
        stage.sandbox("shopify", "inventory", {"sku": sku, "delta": 1})
        return sku
    place, action = _TAMPER[fault]
    invoice = stage.sandbox("quickbooks", "state")["invoice"][place]
    stage.sandbox("quickbooks", "tamper", {"entity": "invoice", "id": invoice["Id"], "action": action})
    return str(invoice["DocNumber"])
