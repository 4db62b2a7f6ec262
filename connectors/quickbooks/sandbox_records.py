"""The records of the QuickBooks sandbox in memory: reading them, their ids, names, numbers, references and links."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from threading import RLock

from .sandbox_bodies import Refused, business, not_found
from .sandbox_company import BY_NAME, CURRENCIES, KINDS, PACIFIC, Kind, Record, Settings
from .sandbox_query import Query
from .sandbox_tax import ZERO, Rate

# Names are unique within a space; customers share theirs with vendors and employees.
NAME_SPACES = {"customer": "party", "item": "item", "account": "account", "taxcode": "taxcode"}
# What a customer owes: the field that is open, and its sign.
OWED = {"invoice": ("Balance", 1), "creditmemo": ("RemainingCredit", -1), "payment": ("UnappliedAmt", -1)}


class Records:
    """All records of one company. Whoever calls more than one method, or changes anything, holds `lock`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lock = RLock()
        self.lists: dict[str, dict[str, Record]] = {path: {} for path in KINDS}
        self.tombstones: list[Record] = []
        self.changes: list[tuple[str, str, str, datetime]] = []  # kind, id, created|updated|deleted|voided, when
        # What each payment applies to each invoice or credit memo: (kind, id) -> {payment id: amount}.
        self.applied: dict[tuple[str, str], dict[str, Decimal]] = {}
        self.numbers: dict[tuple[str, str], list[str]] = {}  # (kind, DocNumber) -> ids
        self.names: dict[tuple[str, str], str] = {}  # (space, name) -> id
        self.of_customer: dict[
            str, dict[tuple[str, str], None]
        ] = {}  # what makes up a customer's balance, as (kind, id)
        self.last_doc_number = 1000
        self._last: dict[str, int] = {}

    def stamp(self, fraction: bool = False) -> str:
        """Now, as the vendor writes it."""
        return self.settings.clock().astimezone(PACIFIC).isoformat(timespec="milliseconds" if fraction else "seconds")

    def read(self, path: str, identity: str) -> Record:
        """A copy of one record, refused with 610 when it is not there."""
        with self.lock:
            record = self.lists[path].get(identity)
            if record is None:
                raise not_found(KINDS[path].name, identity)
            return self.served(path, record)

    def all(self, name: str) -> list[Record]:
        """Copies of all records of the kind with this JSON name, by id."""
        if name == "CompanyInfo":
            return [self.company()]
        path = BY_NAME[name].path
        with self.lock:
            return [self.served(path, record) for record in self.lists[path].values()]

    def query(self, query: Query) -> list[Record]:
        """Copies of the records that a query matches, before paging."""
        if query.entity == "CompanyInfo":
            return [dict(record) for record in query.run([self.company()])]
        path = BY_NAME[query.entity].path
        with self.lock:
            candidates = self._candidates(path, query)
            if path == "customer":  # their balances are worked out when they are served
                return [dict(record) for record in query.run([self.served(path, record) for record in candidates])]
            return [self.served(path, record) for record in query.run(candidates)]

    def _candidates(self, path: str, query: Query) -> Iterable[Record]:
        """All records, or only those that an index knows for a number or a name that is asked for."""
        for condition in query.conditions:
            wanted = [str(value) for value in condition.values]
            if condition.sign not in ("=", "IN"):
                continue
            if condition.field == "Id":
                return [self.lists[path][each] for each in wanted if each in self.lists[path]]
            if condition.field == "DocNumber":
                ids = [identity for each in wanted for identity in self.numbers.get((path, each), ())]
                return [self.lists[path][identity] for identity in ids]
            space = NAME_SPACES.get(path)
            if space and condition.field in ("DisplayName", "Name"):
                found = [self.names.get((space, each.casefold())) for each in wanted]
                return [self.lists[path][identity] for identity in found if identity is not None]
        return self.lists[path].values()

    def company(self) -> Record:
        """CompanyInfo."""
        return {
            "domain": "QBO",
            "sparse": False,
            "Id": "1",
            "SyncToken": "0",
            "MetaData": {"CreateTime": "2026-01-01T00:00:00-08:00", "LastUpdatedTime": "2026-01-01T00:00:00-08:00"},
            "CompanyName": self.settings.company_name,
            "LegalName": self.settings.company_name,
            "Country": "FR",
            "FiscalYearStartMonth": "January",
            "SupportedLanguages": "en",
        }

    def changed_since(self, name: str, since: datetime) -> list[Record]:
        """Records changed and deleted since an instant."""
        path = BY_NAME[name].path
        with self.lock:
            changed = [
                self.served(path, record)
                for record in self.lists[path].values()
                if datetime.fromisoformat(record["MetaData"]["LastUpdatedTime"]) >= since
            ]
            gone = [
                {key: value for key, value in tombstone.items() if key != "entity"}
                for tombstone in self.tombstones
                if tombstone["entity"] == path
                and datetime.fromisoformat(tombstone["MetaData"]["LastUpdatedTime"]) >= since
            ]
            return changed + gone

    def served(self, path: str, record: Record) -> Record:
        """A copy as it is served."""
        copied = copy.deepcopy(record)
        if path == "customer":
            copied["Balance"] = copied["BalanceWithJobs"] = self._owed(record["Id"])
        return copied

    def _owed(self, customer: str) -> Decimal:
        owed = ZERO
        for path, identity in self.of_customer.get(customer, ()):
            field, sign = OWED[path]
            owed += sign * self.lists[path][identity][field]
        return owed

    def next_id(self, sequence: str) -> str:
        """The next id of a sequence."""
        self._last[sequence] = self._last.get(sequence, 0) + 1
        return str(self._last[sequence])

    def note(self, kind: Kind, identity: str, what: str) -> None:
        """Remember a change for webhooks."""
        self.changes.append((kind.path, identity, what, self.settings.clock()))

    def touch(self, record: Record) -> None:
        """Count a change up."""
        # The vendor does not say whether an applied payment moves the invoice's token; the harder case for a caller is that it
        # does.
        record["SyncToken"] = str(int(record["SyncToken"]) + 1)
        record["MetaData"]["LastUpdatedTime"] = self.stamp()

    def insert(self, path: str, record: Record) -> str:
        """Store a new record, without asking whether it is right; gives its id."""
        kind = KINDS[path]
        identity = self.next_id(kind.sequence)
        now = self.stamp()
        head = {"domain": "QBO", "sparse": False, "Id": identity, "SyncToken": "0"}
        stored = {**head, "MetaData": {"CreateTime": now, "LastUpdatedTime": now}, **record}
        self.lists[path][identity] = stored
        self.index(kind, stored)
        return identity

    def check(self, holder: Record, field: str, path: str) -> None:
        """Check a reference and fill its name as the vendor does."""
        ref = holder.get(field)
        if ref is None:
            return
        record = self.lists[path].get(ref["value"])
        if record is None or record.get("Active") is False:
            raise not_found(field, ref["value"])
        holder[field] = self.ref(path, ref["value"])

    def ref(self, path: str, identity: str) -> Record:
        """A reference with its name."""
        record = self.lists[path][identity]
        return {"value": identity, "name": record.get("DisplayName") or record["Name"]}

    def currency(self, wanted: Record) -> Record:
        """The currency of a body; another than the company's only with multicurrency."""
        code = (wanted.get("CurrencyRef") or {}).get("value", self.settings.company_currency)
        if code != self.settings.company_currency and not self.settings.multicurrency:
            raise business(f"Multicurrency is off; {code} is not the currency of the company.", "CurrencyRef")
        return {"value": code, "name": CURRENCIES.get(code, code)}

    def rates(self, code: str) -> list[Rate]:
        """The rates of a tax code."""
        details = self.lists["taxcode"][code]["SalesTaxRateList"]["TaxRateDetail"]
        rates = [self.lists["taxrate"][detail["TaxRateRef"]["value"]] for detail in details]
        return [Rate(rate["Id"], rate["Name"], rate["RateValue"]) for rate in rates]

    def unique(self, space: str, name: str, identity: str | None) -> None:
        """Refuse a name that another record of the space has."""
        holder = self.names.get((space, name.casefold()))
        if holder is not None and holder != identity:
            detail = f"The name supplied already exists. : Id={holder}"
            raise Refused("6240", "Duplicate Name Exists Error", detail, "Name")

    def index(self, kind: Kind, record: Record) -> None:
        """Enter a record in the indexes, and apply it when it is a payment."""
        space = NAME_SPACES.get(kind.path)
        if space:
            self.names[(space, (record.get("DisplayName") or record["Name"]).casefold())] = record["Id"]
        if record.get("DocNumber"):
            self.numbers.setdefault((kind.path, record["DocNumber"]), []).append(record["Id"])
        if kind.path in OWED:
            self.of_customer.setdefault(record["CustomerRef"]["value"], {})[(kind.path, record["Id"])] = None
        if kind.path == "payment":
            for line in record["Line"]:
                key = target(line)
                self.applied.setdefault(key, {})[record["Id"]] = line["Amount"]
                self._settle(key)

    def forget(self, kind: Kind, record: Record) -> None:
        """Take a record out of the indexes, before it is changed or deleted."""
        space = NAME_SPACES.get(kind.path)
        if space:
            self.names.pop((space, (record.get("DisplayName") or record["Name"]).casefold()), None)
        if record.get("DocNumber"):
            holders = self.numbers[(kind.path, record["DocNumber"])]
            holders.remove(record["Id"])
            if not holders:
                del self.numbers[(kind.path, record["DocNumber"])]
        if kind.path in OWED:
            del self.of_customer[record["CustomerRef"]["value"]][(kind.path, record["Id"])]
        if kind.path == "payment":
            for line in record["Line"]:
                key = target(line)
                self.applied[key].pop(record["Id"], None)
                self._settle(key)

    def unlink(self, kind: Kind, identity: str) -> None:
        """A document that goes away leaves its payments unapplied."""
        for payer in self.applied.pop((kind.path, identity), {}):
            payment = self.lists["payment"][payer]
            payment["Line"] = [line for line in payment["Line"] if target(line) != (kind.path, identity)]
            sums = {"invoice": ZERO, "creditmemo": ZERO}
            for line in payment["Line"]:
                sums[target(line)[0]] += line["Amount"]
            payment["UnappliedAmt"] = max(payment["TotalAmt"] + sums["creditmemo"] - sums["invoice"], ZERO)
            self.touch(payment)

    def _settle(self, key: tuple[str, str]) -> None:
        """Bring balance and links of an invoice or credit memo in line with the payments applied to it."""
        path, identity = key
        record = self.lists[path].get(identity)
        if record is None:
            return
        payers = self.applied.get(key, {})
        record["Balance"] = record["TotalAmt"] - sum(payers.values(), ZERO)
        if path == "creditmemo":
            record["RemainingCredit"] = record["Balance"]
        record["LinkedTxn"] = [{"TxnId": payer, "TxnType": "Payment"} for payer in payers]
        self.touch(record)


def target(line: Record) -> tuple[str, str]:
    link = line["LinkedTxn"][0]
    return BY_NAME[link["TxnType"]].path, link["TxnId"]
