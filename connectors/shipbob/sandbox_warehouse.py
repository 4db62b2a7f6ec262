"""The warehouse of the ShipBob sandbox: orders, their shipments, and what the carriers say."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any

from .sandbox_bodies import Order, Refused, Ship, Track

Record = dict[str, Any]
Notify = Callable[[str, Record], None]  # topic, body

# Where the vendor's numbers start here; any number would do.
FIRST_ORDER, FIRST_SHIPMENT, FIRST_PRODUCT, FIRST_INVENTORY = 100_500, 200_001, 301, 401
SHIPPED = ("Completed", "LabeledCreated")


def stamp(moment: datetime) -> str:
    """As the vendor writes an instant."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Warehouse:
    """All orders of one channel, in memory. `notify` is called under the lock and must not block."""

    def __init__(
        self,
        *,
        channel: Mapping[str, Any],
        location: tuple[int, str],
        products: Sequence[str],
        strict_products: bool,
        tracking_url: str,
        clock: Callable[[], datetime],
        notify: Notify,
    ) -> None:
        self.lock = RLock()
        self.channel = dict(channel)
        self.location = {"id": location[0], "name": location[1]}
        self.strict_products = strict_products
        self.tracking_url = tracking_url
        self.clock = clock
        self.notify = notify
        self.orders: dict[int, Record] = {}
        self.shipments: dict[int, Record] = {}
        self.products: dict[str, int] = {}  # reference -> ShipBob's id
        self.tracking: dict[int, Record] = {}  # by shipment
        self._references: dict[str, int] = {}
        self._of_order: dict[int, list[int]] = {}  # an order's shipments
        self._parcels = 10
        for reference in products:
            self._product(reference)

    # -- orders ----------------------------------------------------------------------------------------------------------

    def create(self, order: Order) -> Record:
        """Take an order; refuses one whose reference was seen before."""
        with self.lock:
            if order.reference_id in self._references:
                raise Refused(422, {"errors": ["Cannot insert order with existing ReferenceId"]})
            lines = self._lines(order)
            now = stamp(self.clock())
            identity = FIRST_ORDER + len(self.orders)
            recipient = order.recipient.model_dump(exclude_unset=True)
            purchased = order.purchase_date
            record: Record = {
                "id": identity,
                "created_date": now,
                "purchase_date": stamp(purchased if purchased.tzinfo else purchased.replace(tzinfo=UTC))
                if purchased
                else None,
                "reference_id": order.reference_id,
                "order_number": order.order_number or order.reference_id,
                "status": "Processing",
                "type": order.type,
                "channel": self.channel,
                "shipping_method": order.shipping_method,
                "recipient": recipient,
                "products": lines,
                "tags": [tag.model_dump() for tag in order.tags or []],
                "gift_message": order.gift_message,
                "shipping_terms": order.shipping_terms.model_dump() if order.shipping_terms else None,
                "retailer_program_data": None,
                "financials": order.financials.model_dump() if order.financials else {"total_price": 0},
            }
            self.orders[identity] = record
            self._references[order.reference_id] = identity
            self._shipment(record, [(line, line["quantity"]) for line in lines], now)
            return self.order(identity)

    def order(self, identity: int) -> Record:
        """A copy of one order with its shipments; 404 when it is not there."""
        with self.lock:
            record = self.orders.get(identity)
            if record is None:
                raise Refused(404, None)
            copied: Record = copy.deepcopy({**record, "shipments": self._shipments_of(identity)})
            return copied

    def find(
        self,
        *,
        ids: Sequence[int] = (),
        references: Sequence[str] = (),
        updated_from: datetime | None = None,
        created_from: datetime | None = None,
        has_tracking: bool | None = None,
        newest_first: bool = False,
    ) -> list[Record]:
        """Copies of the orders that match all that is asked."""
        with self.lock:
            found = []
            for identity, record in self.orders.items():
                if (ids and identity not in ids) or (references and record["reference_id"] not in references):
                    continue
                order = self.order(identity)
                last = max(each["last_update_at"] for each in order["shipments"])
                if updated_from and datetime.fromisoformat(last) < updated_from:
                    continue
                if created_from and datetime.fromisoformat(order["created_date"]) < created_from:
                    continue
                tracked = any(each["tracking"] and each["tracking"]["tracking_number"] for each in order["shipments"])
                if has_tracking is not None and tracked != has_tracking:
                    continue
                found.append(order)
            return found[::-1] if newest_first else found

    def shipment(self, identity: int) -> Record:
        """A copy of one shipment; 404 when it is not there."""
        with self.lock:
            if identity not in self.shipments:
                raise Refused(404, None)
            return copy.deepcopy(self.shipments[identity])

    def cancel(self, identity: int) -> Record:
        """Cancel what has not left; refused with 422 when all of it has left or was cancelled before."""
        with self.lock:
            self.order(identity)
            results = []
            for shipment in self._shipments_of(identity):
                open_ = shipment["status"] not in (*SHIPPED, "Cancelled")
                if open_:
                    self._set(shipment, "Cancelled")
                    self.notify("order.shipment.cancelled", copy.deepcopy(shipment))
                results.append(
                    {
                        "action": "Cancel",
                        "is_success": open_,
                        "reason": None if open_ else f"Shipment is {shipment['status']}",
                        "shipment_id": shipment["id"],
                    }
                )
            done = sum(result["is_success"] for result in results)
            if not done:
                raise Refused(422, {"errors": [f"Order {identity} has no shipment that can be cancelled"]})
            self._restate(identity)
            outcome = "Success" if done == len(results) else "PartialSuccess"
            order = self.order(identity)
            return {"order": order, "order_id": identity, "status": outcome, "canceled_shipment_results": results}

    def track_of(self, identities: Sequence[int]) -> list[Record]:
        """What the carriers said of these shipments; those with nothing are left out."""
        with self.lock:
            return [copy.deepcopy(self.tracking[each]) for each in identities if each in self.tracking]

    def dump(self) -> Record:
        """The whole state."""
        with self.lock:
            return {
                "orders": [self.order(identity) for identity in self.orders],
                "shipments": copy.deepcopy(list(self.shipments.values())),
                "tracking": copy.deepcopy(list(self.tracking.values())),
                "products": [{"id": number, "reference_id": reference} for reference, number in self.products.items()],
            }

    # -- what happens in the warehouse -------------------------------------------------------------------------------------

    def ship(self, wish: Ship) -> list[Record]:
        """Send off the open shipments of an order, or of all orders; gives the shipments that left."""
        with self.lock:
            if wish.all == (wish.order_id is not None):
                raise Refused(400, {"error": "give either order_id or all"})
            if wish.partial and wish.order_id is None:
                raise Refused(400, {"error": "partial needs an order_id"})
            identities = list(self.orders) if wish.all else [self.order(wish.order_id or 0)["id"]]
            left = []
            for identity in identities:
                ready = [each for each in self._shipments_of(identity) if each["status"] == "Processing"]
                if wish.partial and ready:
                    self._split(ready[0], wish.partial)
                    ready = ready[:1]
                for shipment in ready:
                    self._send_off(shipment, wish)
                    left.append(copy.deepcopy(shipment))
                if ready:
                    self._restate(identity)
            return left

    def track(self, wish: Track) -> Record:
        """Add a carrier's report to a shipment that left."""
        with self.lock:
            shipment = self.shipments.get(wish.shipment_id)
            if shipment is None or shipment["status"] not in SHIPPED:
                raise Refused(400, {"error": f"shipment {wish.shipment_id} has not left"})
            if shipment["tracking"] is None or shipment["tracking"]["tracking_number"] is None:
                tracking = shipment["tracking"] or {}
                self._number(
                    shipment, tracking.get("carrier") or "Colissimo", tracking.get("carrier_service") or "Domicile"
                )
            now = stamp(self.clock())
            report = self.tracking[wish.shipment_id]
            event = {
                "status": wish.status,
                "substatus": wish.substatus,
                "location": wish.location,
                "message": wish.message,
                "carrier_message": wish.message,
                "timestamp": now,
            }
            report["history"].append(event)
            report |= {key: event[key] for key in ("status", "substatus", "location", "message", "carrier_message")}
            report["last_updated"] = shipment["last_update_at"] = now
            if wish.status == "Delivered":
                shipment["delivery_date"] = now
                if wish.webhook:
                    self.notify("order.shipment.delivered", copy.deepcopy(shipment))
            return copy.deepcopy(report)

    def hold(self, identity: int, status: str) -> list[Record]:
        """Set the open shipments of an order to OnHold, Exception or back to Processing."""
        topics = {"OnHold": "order.shipment.on_hold", "Exception": "order.shipment.exception", "Processing": None}
        if status not in topics:
            raise Refused(400, {"error": f"status must be one of {', '.join(topics)}"})
        with self.lock:
            self.order(identity)
            touched = [each for each in self._shipments_of(identity) if each["status"] not in (*SHIPPED, "Cancelled")]
            for shipment in touched:
                self._set(shipment, status)
                topic = topics[status]
                if topic:
                    self.notify(topic, copy.deepcopy(shipment))
            self._restate(identity)
            return copy.deepcopy(touched)

    # -- inside ------------------------------------------------------------------------------------------------------------

    def _lines(self, order: Order) -> list[Record]:
        unknown = []
        for number, product in enumerate(order.products):
            known = product.reference_id in self.products or product.id in self.products.values()
            if product.reference_id is None and product.id is None:
                raise Refused(400, {f"products[{number}].reference_id": ["The reference_id field is required."]})
            if not known and (self.strict_products or product.reference_id is None):
                unknown.append(str(product.reference_id or product.id))
        if unknown:
            raise Refused(422, {"errors": [f"Product {name} does not exist" for name in unknown]})
        by_id = {number: reference for reference, number in self.products.items()}
        lines = []
        for product in order.products:
            reference = product.reference_id or by_id[product.id or 0]
            lines.append(
                {
                    "id": self._product(reference),
                    "reference_id": reference,
                    "sku": product.sku or reference,
                    "quantity": product.quantity,
                    "quantity_unit_of_measure_code": product.quantity_unit_of_measure_code,
                    "unit_price": product.unit_price if product.unit_price is not None else 0,
                    "gtin": product.gtin,
                    "upc": product.upc,
                    "external_line_id": product.external_line_id,
                }
            )
        return lines

    def _product(self, reference: str) -> int:
        """ShipBob's id of a product; a reference that is new makes a product."""
        return self.products.setdefault(reference, FIRST_PRODUCT + len(self.products))

    def _shipment(self, order: Record, lines: Sequence[tuple[Record, int]], now: str) -> Record:
        identity = FIRST_SHIPMENT + len(self.shipments)
        recipient = order["recipient"]
        due = datetime.fromisoformat(order["created_date"]) + timedelta(days=1)
        shipment: Record = {
            "id": identity,
            "order_id": order["id"],
            "reference_id": order["reference_id"],
            "status": "Processing",
            "status_details": [],
            "ship_option": order["shipping_method"],
            "created_date": now,
            "last_update_at": now,
            "actual_fulfillment_date": None,
            "delivery_date": None,
            "estimated_fulfillment_date": stamp(due),
            "estimated_fulfillment_date_status": "PendingOnTime",
            "location": self.location,
            "products": [
                {
                    "id": line["id"],
                    "reference_id": line["reference_id"],
                    "sku": line["sku"],
                    "name": line["reference_id"],
                    "inventory_items": [self._inventory(line, quantity)],
                }
                for line, quantity in lines
            ],
            "recipient": {**copy.deepcopy(recipient), "full_name": recipient["name"]},
            "tracking": None,
            "is_tracking_uploaded": False,
            "package_material_type": "Box",
            "require_signature": False,
            "gift_message": order["gift_message"],
            "insurance_value": None,
            "invoice_amount": 0,
            "invoice_currency_code": "EUR",
            "measurements": {"total_weight_oz": 17, "length_in": 8, "width_in": 6, "depth_in": 4},
            "parent_cartons": [],
        }
        self.shipments[identity] = shipment
        self._of_order.setdefault(order["id"], []).append(identity)
        return shipment

    def _inventory(self, line: Record, quantity: int) -> Record:
        return {
            "id": FIRST_INVENTORY + line["id"] - FIRST_PRODUCT,
            "name": line["reference_id"],
            "quantity": quantity,
            "quantity_committed": quantity,
            "lot": None,
            "expiration_date": None,
            "serial_numbers": [],
            "is_dangerous_goods": False,
        }

    def _shipments_of(self, order_id: int) -> list[Record]:
        return [self.shipments[identity] for identity in self._of_order[order_id]]

    def _split(self, shipment: Record, leaving: Mapping[str, int]) -> None:
        """Keep in the shipment what leaves, and put the rest into a new one."""
        held = {each["reference_id"]: each["inventory_items"][0]["quantity"] for each in shipment["products"]}
        for reference, quantity in leaving.items():
            if quantity > held.get(reference, 0):
                text = f"shipment {shipment['id']} holds {held.get(reference, 0)} of {reference}, not {quantity}"
                raise Refused(400, {"error": text})
        rest = []
        for product in shipment["products"]:
            remaining = held[product["reference_id"]] - leaving.get(product["reference_id"], 0)
            if remaining:
                rest.append((product, remaining))
        if not rest:
            return
        self._shipment(self.orders[shipment["order_id"]], rest, stamp(self.clock()))
        kept = [each for each in shipment["products"] if each["reference_id"] in leaving]
        for product in kept:
            quantity = leaving[product["reference_id"]]
            product["inventory_items"][0] |= {"quantity": quantity, "quantity_committed": quantity}
        shipment["products"] = kept

    def _send_off(self, shipment: Record, wish: Ship) -> None:
        shipped = wish.shipped_at or self.clock()
        shipped = shipped if shipped.tzinfo else shipped.replace(tzinfo=UTC)
        self._set(shipment, "Completed")
        shipment["actual_fulfillment_date"] = stamp(shipped)
        shipment["estimated_fulfillment_date_status"] = "FulfilledOnTime"
        if wish.tracking:
            self._number(shipment, wish.carrier, wish.service)
        else:
            shipment["tracking"] = {
                **{"carrier": wish.carrier, "carrier_service": wish.service, "tracking_number": None},
                **{
                    "tracking_url": None,
                    "shipping_date": stamp(shipped),
                    "bol": None,
                    "pro_number": None,
                    "scac": None,
                },
            }
        if wish.webhook:
            self.notify("order.shipped", copy.deepcopy(shipment))

    def _number(self, shipment: Record, carrier: str, service: str) -> None:
        self._parcels += 1
        number = f"6A{self._parcels:011d}"
        url = self.tracking_url.format(number=number)
        shipment["tracking"] = {
            "carrier": carrier,
            "carrier_service": service,
            "tracking_number": number,
            "tracking_url": url,
            "shipping_date": shipment["actual_fulfillment_date"],
            "bol": None,
            "pro_number": None,
            "scac": None,
        }
        self.tracking[shipment["id"]] = {
            "shipment_id": shipment["id"],
            "tracking_id": f"trk_{shipment['id']}",
            "carrier": carrier,
            "service": service,
            "carrier_tracking_number": number,
            "carrier_message": "",
            "message": "Label created",
            "status": "PreTransit",
            "substatus": None,
            "location": None,
            "eta": None,
            "last_updated": stamp(self.clock()),
            "public_tracking_url": url,
            "history": [],
        }

    def _set(self, shipment: Record, status: str) -> None:
        shipment["status"] = status
        shipment["last_update_at"] = stamp(self.clock())

    def _restate(self, order_id: int) -> None:
        """The order's status follows from its shipments."""
        states = {each["status"] for each in self._shipments_of(order_id)}
        if states == {"Cancelled"}:
            status = "Cancelled"
        elif states <= {*SHIPPED, "Cancelled"}:
            status = "Fulfilled"
        elif states & set(SHIPPED):
            status = "PartiallyFulfilled"
        else:
            status = "Exception" if states & {"Exception", "OnHold"} else "Processing"
        self.orders[order_id]["status"] = status
