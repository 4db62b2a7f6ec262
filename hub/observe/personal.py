"""Which fields of what systems tell are about people, and texts without what stands in them.

The table is declared, not guessed: a field is here by its name, and by what it stands in where the name alone says too little.
Patterns for addresses of mail and for telephone numbers are a second net.

What a system answers, and what an expression stumbles over, repeats what was sent. The reason of a question is kept, shown and
mailed: it may name a field, and not what stands in it, which is erased with the event and not with the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

#: field -> what it is. Names are compared without case and `_`, so that webhooks and GraphQL are alike
FIELDS: Mapping[str, str] = {
    "email": "email", "contactemail": "email", "emailaddress": "email", "customeremail": "email",
    "phone": "phone", "phonenumber": "phone", "smsmarketingphone": "phone",
    "firstname": "first", "givenname": "first", "lastname": "last", "familyname": "last",
    "displayname": "name", "fullname": "name", "recipientname": "name", "attention": "name", "signedby": "name",
    "company": "company", "companyname": "company",
    "address1": "street", "address2": "street", "street": "street", "line1": "street", "line2": "street",
    "city": "city", "zip": "zip", "zipcode": "zip", "postalcode": "zip", "postcode": "zip",
    "latitude": "gone", "longitude": "gone",
    "note": "text", "customernote": "text", "customerlocale": "gone", "giftmessage": "text", "giftnote": "text",
    "specialinstructions": "text", "deliveryinstructions": "text",
    "browserip": "gone", "clientip": "gone", "useragent": "gone", "clientdetails": "gone", "landingsite": "gone",
    "referringsite": "gone", "token": "gone", "carttoken": "gone", "checkouttoken": "gone", "sessionhash": "gone",
    "orderstatusurl": "gone", "statuspageurl": "gone", "customerurl": "gone", "receipt": "gone", "paymentdetails": "gone",
    "creditcardnumber": "gone", "creditcardname": "gone", "birthday": "gone", "dateofbirth": "gone",
    "vatnumber": "vat", "taxid": "vat", "taxexemptid": "vat",
}  # fmt: skip
#: what a `name`, a `value` or a `company` is about depends on what it stands in; a carrier is no person
INSIDE: Mapping[tuple[str, str], str] = {
    ("customer", "name"): "name", ("billingaddress", "name"): "name", ("shippingaddress", "name"): "name",
    ("defaultaddress", "name"): "name", ("address", "name"): "name", ("recipient", "name"): "name",
    ("addresses", "name"): "name", ("destination", "name"): "name", ("party", "name"): "name",
    ("billto", "name"): "name", ("shipto", "name"): "name", ("noteattributes", "value"): "answer",
    ("customattributes", "value"): "answer", ("properties", "value"): "answer", ("customer", "tags"): "text",
    ("trackinginfo", "company"): "kept", ("billemail", "address"): "email", ("primaryemailaddr", "address"): "email",
    ("primaryphone", "freeformnumber"): "phone",
}  # fmt: skip
EMAIL = re.compile(r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
PHONE = re.compile(r"\+\d[\d ().-]{7,}\d|(?<!\d)0[1-9](?:[ .-]?\d{2}){4}(?!\d)")
#: kinds whose single words tell of somebody too
_SPOKEN = ("name", "first", "last", "street", "company")
_SHORT = 2
_MAX_DEPTH = 40


def kind_of(field: str, inside: str) -> str | None:
    """What a field is about: its name and that of what it stands in, without case and `_`."""
    return INSIDE.get((inside, field)) or FIELDS.get(field)


def without_people(text: str, *documents: Any) -> str:
    """A text with the names of fields in place of what stands about people in these documents: `<email>`; mail addresses and
    telephone numbers in any case. Only for what went wrong: it walks through the documents."""
    values = dict(pair for document in documents for pair in _values(document, "", _MAX_DEPTH))
    for value in sorted(values, key=len, reverse=True):
        if value.casefold() in text.casefold():
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", f"<{values[value]}>", text, flags=re.IGNORECASE)
    return PHONE.sub("<phone>", EMAIL.sub("<email>", text))


def all_without_people(value: Any, *documents: Any) -> Any:
    """The same for each text of a document."""
    if isinstance(value, dict):
        return {name: all_without_people(each, *documents) for name, each in value.items()}
    if isinstance(value, list):
        return [all_without_people(each, *documents) for each in value]
    return without_people(value, *documents) if isinstance(value, str) else value


def _values(value: Any, inside: str, depth: int) -> Iterator[tuple[str, str]]:
    """What is about people in a document, with the field that it stands in."""
    if depth == 0:
        return
    if isinstance(value, list | tuple):
        for each in value:
            yield from _values(each, inside, depth - 1)
    elif isinstance(value, dict):
        for name, each in value.items():
            plain = str(name).replace("_", "").casefold()
            kind = kind_of(plain, inside)
            if isinstance(each, str) and kind not in (None, "kept"):
                parts = each.split() if kind in _SPOKEN else ()
                yield from ((part, str(name)) for part in (each.strip(), *parts) if len(part) > _SHORT)
            else:
                yield from _values(each, plain, depth - 1)
