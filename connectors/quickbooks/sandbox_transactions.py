"""Sales documents, payments and journal entries: what the vendor demands of them and what it computes."""

from __future__ import annotations

from datetime import UTC, date
from decimal import Decimal

from .sandbox_bodies import Refused, bad_value, business, missing, not_found
from .sandbox_company import BY_NAME, KINDS, UNDEPOSITED, Kind, Record
from .sandbox_records import Records
from .sandbox_tax import ZERO, cents, totals


def sale(records: Records, kind: Kind, wanted: Record, existing: Record | None, total: Decimal | None) -> Record:
    """An invoice, sales receipt, credit memo or refund receipt; `total` is the TotalAmt that the caller claims."""
    path = kind.path
    if wanted.get("CustomerRef") is None and path in ("invoice", "creditmemo"):
        raise missing("CustomerRef")
    if path == "refundreceipt" and wanted.get("DepositToAccountRef") is None:
        raise missing("DepositToAccountRef")
    mode = wanted.get("GlobalTaxCalculation")
    if mode is None:  # needed outside the United States
        raise missing("GlobalTaxCalculation")
    record = _header(records, kind, wanted, existing["Id"] if existing else None)
    lines = [_sale_line(records, line, mode) for line in wanted.get("Line") or []]
    lines = [line for line in lines if line["DetailType"] != "SubTotalLineDetail"]
    if not any(line["DetailType"] == "SalesItemLineDetail" for line in lines):
        raise missing("Line")
    discount_first = wanted.get("ApplyTaxAfterDiscount", True)
    made = totals(
        lines,
        mode,
        {code: records.rates(code) for code in records.lists["taxcode"]},
        discount_first=discount_first,
        given=wanted.get("TxnTaxDetail"),
        tolerance=records.settings.tax_override_tolerance,
    )
    if total is not None and total != made.total:
        raise business(f"TotalAmt: computed {made.total}, given {total}.", "TotalAmt")
    discounts = iter(made.discounts)
    for line in lines:
        if line["DetailType"] == "DiscountLineDetail":
            line["Amount"] = next(discounts)
    _number_lines(lines)
    lines.append({"Amount": made.subtotal, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}})
    record |= {
        "Line": lines,
        "GlobalTaxCalculation": mode,
        "ApplyTaxAfterDiscount": discount_first,
        "TxnTaxDetail": made.tax,
        "TotalAmt": made.total,
        "LinkedTxn": existing["LinkedTxn"] if existing else [],
    }
    record.setdefault("PrintStatus", "NeedToPrint")
    record.setdefault("EmailStatus", "NotSet")
    if path == "invoice":
        record.setdefault("DueDate", record["TxnDate"])
    if path in ("salesreceipt", "refundreceipt"):
        record.setdefault("DepositToAccountRef", records.ref("account", UNDEPOSITED))
        record["Balance"] = ZERO
        return record
    applied = sum(records.applied.get((path, existing["Id"]), {}).values(), ZERO) if existing else ZERO
    if applied > made.total:
        raise business(f"The total {made.total} is below the {applied} already applied.", "TotalAmt")
    if existing and applied and record["CustomerRef"]["value"] != existing["CustomerRef"]["value"]:
        raise business("The customer of a transaction with payments cannot be changed.", "CustomerRef")
    record["Balance"] = made.total - applied
    if path == "creditmemo":
        record["RemainingCredit"] = record["Balance"]
    return record


def _sale_line(records: Records, sent: Record, mode: str) -> Record:
    line = {key: value for key, value in sent.items() if value is not None}
    kind = line.get("DetailType")
    if kind is None:
        raise missing("Line.DetailType")
    if kind == "JournalEntryLineDetail":
        raise bad_value("Line.DetailType", f"{kind} is not allowed in this transaction")
    if kind in ("DiscountLineDetail", "SalesItemLineDetail") and line.get(kind) is None:
        raise missing(f"Line.{kind}")
    if kind == "DiscountLineDetail":
        records.check(line[kind], "DiscountAccountRef", "account")
    if kind != "SalesItemLineDetail":
        return line
    detail = {key: value for key, value in line[kind].items() if value is not None}
    line[kind] = detail
    if line.get("Amount") is None:
        raise missing("Line.Amount")
    if detail.get("ItemRef") is None:
        raise missing("Line.SalesItemLineDetail.ItemRef")
    records.check(detail, "ItemRef", "item")
    quantity, price = detail.get("Qty"), detail.get("UnitPrice")
    if quantity is not None and price is not None and cents(Decimal(quantity) * price) != line["Amount"]:
        text = f"Amount is not equal to UnitPrice * Qty. Supplied value:{line['Amount']}"
        raise Refused("6070", "Amount calculation incorrect in the request", text, "Line.Amount")
    if mode != "NotApplicable" and detail.get("TaxCodeRef") is None:
        raise business("Make sure all your transactions have a VAT rate before you save.", "TaxCodeRef")
    records.check(detail, "TaxCodeRef", "taxcode")
    if mode == "TaxInclusive":
        detail["TaxInclusiveAmt"] = line["Amount"]
    return line


def _header(records: Records, kind: Kind, wanted: Record, identity: str | None) -> Record:
    """What all transactions share: date, number, currency, customer, references."""
    record = {key: value for key, value in wanted.items() if key not in ("Line", "TxnTaxDetail")}
    record["TxnDate"] = record.get("TxnDate") or records.settings.clock().astimezone(UTC).date().isoformat()
    closed = records.settings.closing_date
    if closed and date.fromisoformat(record["TxnDate"]) <= closed:
        text = f"The account period has closed on {closed}; the transaction is of {record['TxnDate']}"
        raise Refused("6210", "Account Period Closed, Cannot Update Through Services API", text, "TxnDate")
    records.check(record, "CustomerRef", "customer")
    for field in ("DepositToAccountRef", "ARAccountRef"):
        records.check(record, field, "account")
    records.check(record, "PaymentMethodRef", "paymentmethod")
    record["CurrencyRef"] = records.currency(wanted)
    if record.get("CustomerRef"):
        customer = records.lists["customer"][record["CustomerRef"]["value"]]
        if customer["CurrencyRef"]["value"] != record["CurrencyRef"]["value"]:
            raise business("The currency of the transaction is not the currency of the customer.", "CurrencyRef")
    if kind.path != "payment":
        _doc_number(records, kind, record, identity)
    return record


def _doc_number(records: Records, kind: Kind, record: Record, identity: str | None) -> None:
    number = record.get("DocNumber")
    if not number:
        if records.settings.custom_transaction_numbers or kind.path == "journalentry":
            return
        while not number or (kind.path, number) in records.numbers:
            records.last_doc_number += 1
            number = str(records.last_doc_number)
        record["DocNumber"] = number
    holders = [holder for holder in records.numbers.get((kind.path, number), []) if holder != identity]
    if holders and records.settings.warn_duplicate_doc_numbers:
        detail = (
            "Duplicate Document Number Error : You must specify a different number. This number has already been used. "
            f"DocNumber={number} is assigned to TxnType={kind.name} with TxnId={holders[0]}"
        )
        raise Refused("6140", "Duplicate Document Number Error", detail, "DocNumber")


def payment(records: Records, wanted: Record, existing: Record | None, total: Decimal | None) -> Record:
    """A payment and what it is applied to; a credit memo is applied by a payment, of zero if need be, that links both."""
    if wanted.get("CustomerRef") is None:
        raise missing("CustomerRef")
    if total is None:
        if existing is None:
            raise missing("TotalAmt")
        total = existing["TotalAmt"]
    if total < 0:
        raise business("Transaction amount must be 0 or greater.", "TotalAmt")
    identity = existing["Id"] if existing else ""
    record = _header(records, KINDS["payment"], wanted, identity)
    record.setdefault("DepositToAccountRef", records.ref("account", UNDEPOSITED))
    lines, sums = [], {"invoice": ZERO, "creditmemo": ZERO}
    seen: set[tuple[str, str]] = set()
    for sent in wanted.get("Line") or []:
        key, amount = _payment_line(records, sent, record, identity)
        if key in seen:
            raise business(f"{KINDS[key[0]].name} {key[1]} is linked twice.", "LinkedTxn")
        seen.add(key)
        sums[key[0]] += amount
        lines.append({"Amount": amount, "LinkedTxn": [{"TxnId": key[1], "TxnType": KINDS[key[0]].name}]})
    left = total + sums["creditmemo"] - sums["invoice"]
    if left < 0:
        raise business(
            f"The amounts applied ({sums['invoice']}) are above the payment and its credits "
            f"({total + sums['creditmemo']}).",
            "TotalAmt",
        )
    if left > total:
        raise business("More credit is applied than there are invoices to take it.", "TotalAmt")
    return {**record, "TotalAmt": total, "UnappliedAmt": left, "ProcessPayment": False, "Line": lines}


def _payment_line(records: Records, sent: Record, payment: Record, identity: str) -> tuple[tuple[str, str], Decimal]:
    links = sent.get("LinkedTxn") or []
    if len(links) != 1:
        raise missing("Line.LinkedTxn") if not links else business("A line links one transaction.", "LinkedTxn")
    amount = sent.get("Amount")
    if amount is None:
        raise missing("Line.Amount")
    kind = BY_NAME.get(links[0]["TxnType"])
    if kind is None or kind.path not in ("invoice", "creditmemo"):
        raise _unlinkable(f"a payment cannot be linked to {links[0]['TxnType']}")
    target = records.lists[kind.path].get(links[0]["TxnId"])
    if target is None:
        raise not_found(kind.name, links[0]["TxnId"])
    if target["CustomerRef"]["value"] != payment["CustomerRef"]["value"]:
        raise _unlinkable(f"{kind.name} {target['Id']} belongs to another customer")
    if amount <= 0:
        raise business("The amount of a line must be above 0.", "Line.Amount")
    others = [part for payer, part in records.applied.get((kind.path, target["Id"]), {}).items() if payer != identity]
    open_amount = target["TotalAmt"] - sum(others, ZERO)
    if open_amount == 0:
        raise _unlinkable(f"{kind.name} {target['Id']} has no open balance")
    if amount > open_amount:
        text = f"The amount {amount} is above the open balance {open_amount} of {kind.name} {target['Id']}."
        raise business(text, "Line.Amount")
    return (kind.path, target["Id"]), amount


def journal_entry(records: Records, kind: Kind, wanted: Record, identity: str | None) -> Record:
    """A journal entry that balances."""
    record = _header(records, kind, wanted, identity)
    sums = {"Debit": ZERO, "Credit": ZERO}
    parties = 0
    lines = []
    for sent in wanted.get("Line") or []:
        line = {key: value for key, value in sent.items() if value is not None}
        if line.get("DetailType") == "DescriptionOnly":
            lines.append(line)
            continue
        detail = line.get("JournalEntryLineDetail")
        if line.get("DetailType") != "JournalEntryLineDetail" or detail is None:
            raise missing("Line.JournalEntryLineDetail")
        for field in ("PostingType", "AccountRef"):
            if detail.get(field) is None:
                raise missing(f"Line.JournalEntryLineDetail.{field}")
        if line.get("Amount") is None:
            raise missing("Line.Amount")
        if line["Amount"] < 0:
            raise business("The amount of a line must be 0 or greater.", "Line.Amount")
        records.check(detail, "AccountRef", "account")
        kind_of_account = records.lists["account"][detail["AccountRef"]["value"]]["AccountType"]
        if kind_of_account in ("Accounts Receivable", "Accounts Payable"):
            parties += 1
            entity = detail.get("Entity") or {}
            if not entity.get("EntityRef"):
                raise business("When you use Accounts Receivable or Payable, you must choose a name.", "Entity")
            if entity.get("Type") == "Customer":
                records.check(entity, "EntityRef", "customer")
        sums[detail["PostingType"]] += line["Amount"]
        lines.append(line)
    if len([line for line in lines if "JournalEntryLineDetail" in line]) < 2:
        raise missing("Line")
    if parties > 1:
        raise business("Only one line may use Accounts Receivable or Payable.", "AccountRef")
    if sums["Debit"] != sums["Credit"]:
        text = f"Please balance debits and credits: debits {sums['Debit']}, credits {sums['Credit']}."
        raise business(text, "Line")
    if sums["Debit"] == 0:
        raise business("The transaction has no amount.", "Line")
    _number_lines(lines)
    return {**record, "Line": lines, "TxnTaxDetail": {}, "Adjustment": record.get("Adjustment", False)}


def _unlinkable(detail: str) -> Refused:
    return Refused("620", "Transaction cannot be linked", f"Transaction cannot be linked : {detail}", "LinkedTxn")


def _number_lines(lines: list[Record]) -> None:
    """Keep the ids that lines came with, give the others the next ones, and number them in order."""
    used = {line["Id"] for line in lines if line.get("Id")}
    following = 1
    for number, line in enumerate(lines, 1):
        if not line.get("Id"):
            while str(following) in used:
                following += 1
            line["Id"] = str(following)
            used.add(line["Id"])
        line["LineNum"] = number
