"""The bodies that the ShipBob sandbox takes. Names, lengths and enumerations are the vendor's; unknown fields are refused."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Topic = Literal[
    "order.shipped",
    "order.shipment.delivered",
    "order.shipment.exception",
    "order.shipment.on_hold",
    "order.shipment.cancelled",
    "return.created",
    "return.updated",
    "return.completed",
    "billing.charge.created",
    "billing.refund.created",
    "billing.credit.created",
]
TrackingStatus = Literal[  # spaces and mixed case are the vendor's
    "Available for Pickup",
    "Cancelled",
    "Delivered",
    "Delivery attempt Failed",
    "DeliveryException",
    "Exception",
    "Failed",
    "InTransit",
    "PreTransit",
    "Return to sender",
]
Text = Annotated[str, Field(min_length=1)]
Quantity = Annotated[int, Field(ge=1, le=2_147_483_647)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Address(Body):
    address1: Text
    address2: str | None = None
    company_name: str | None = None
    city: Text
    state: str | None = None
    zip_code: str | None = None
    country: Text


class Recipient(Body):
    name: Annotated[str, Field(min_length=1, max_length=300)]
    address: Address
    email: str | None = None
    phone_number: Annotated[str, Field(max_length=50)] | None = None


class Product(Body):
    """A line, by the merchant's reference or by ShipBob's id."""

    reference_id: Text | None = None
    id: int | None = None
    product_id: int | None = None
    name: str | None = None
    sku: str | None = None
    gtin: Annotated[str, Field(max_length=50)] | None = None
    upc: Annotated[str, Field(max_length=50)] | None = None
    quantity: Quantity
    quantity_unit_of_measure_code: str | None = None
    unit_price: Decimal | None = None
    external_line_id: int | None = None


class Tag(Body):
    name: Annotated[str, Field(min_length=1, max_length=50)]
    value: Annotated[str, Field(min_length=1, max_length=500)]


class Financials(Body):
    total_price: Decimal | None = None


class ShippingTerms(Body):
    carrier_type: str | None = None
    payment_term: str | None = None


class Order(Body):
    reference_id: Annotated[str, Field(min_length=1, max_length=300)]
    order_number: Annotated[str, Field(max_length=400)] | None = None
    type: Literal["DTC", "DropShip", "B2B"]
    shipping_method: Text
    recipient: Recipient
    products: Annotated[list[Product], Field(min_length=1)]
    purchase_date: datetime | None = None
    requested_delivery_date: datetime | None = None
    location_id: int | None = None
    gift_message: Annotated[str, Field(max_length=500)] | None = None
    tags: list[Tag] | None = None
    financials: Financials | None = None
    shipping_terms: ShippingTerms | None = None
    origin_platform_program: Annotated[str, Field(max_length=100)] | None = None
    sales_channel: str | None = None


class Subscription(Body):
    topics: Annotated[list[Topic], Field(min_length=1)]
    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    secret: Annotated[str, Field(pattern=r"^whsec_[a-zA-Z0-9+/]{32}$")] | None = None
    description: str | None = None


class Ship(Body):
    """Control: one order (or all) leaves the warehouse."""

    order_id: int | None = None
    all: bool = False
    carrier: str = "Colissimo"
    service: str = "Domicile"
    shipped_at: datetime | None = None
    partial: dict[str, Quantity] | None = None  # reference -> quantity that leaves; the rest stays in a new shipment
    tracking: bool = True  # False: shipped without a number, as the vendor sometimes reports it
    webhook: bool = True  # False: the notice never comes


class Track(Body):
    """Control: the carrier reports something."""

    shipment_id: int
    status: TrackingStatus
    substatus: str | None = None
    message: str = ""
    location: str | None = None
    webhook: bool = True


Model = TypeVar("Model", bound=Body)


class Refused(Exception):
    """A refusal: HTTP status and JSON body."""

    def __init__(self, status: int, body: dict[str, Any] | None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


def refusals(error: ValidationError) -> dict[str, list[str]]:
    """`{field: [what is wrong]}`, the vendor's form."""
    fields: dict[str, list[str]] = {}
    for each in error.errors():
        name = re.sub(r"\.(\d+)", r"[\1]", ".".join(str(part) for part in each["loc"])) or "body"
        text = f"The {name} field is required." if each["type"] == "missing" else f"The {name} field: {each['msg']}."
        fields.setdefault(name, []).append(text)
    return fields


def parse(model: type[Model], value: object, status: int = 400) -> Model:
    """Read a body or refuse it."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = refusals(error)
        if status == 422:
            raise Refused(422, {"errors": [text for texts in found.values() for text in texts]}) from None
        raise Refused(status, found) from None
