"""The trial balance of the QuickBooks sandbox."""

from __future__ import annotations

from decimal import Decimal

from .sandbox_company import DISCOUNTS, INCOME, RECEIVABLE, SALES, TAX_PAYABLE, UNDEPOSITED
from .sandbox_records import Records
from .sandbox_tax import ZERO, cents


def balances(records: Records) -> dict[str, Decimal]:
    """Account id -> balance, debits positive, worked out from all transactions; they add up to zero."""
    sums: dict[str, Decimal] = {}

    def post(account: str, amount: Decimal) -> None:
        sums[account] = sums.get(account, ZERO) + amount

    for path in SALES:
        sign = 1 if path in ("invoice", "salesreceipt") else -1
        for record in records.lists[path].values():
            tax = record["TxnTaxDetail"]["TotalTax"]
            own = (record.get("DepositToAccountRef") or {}).get("value", UNDEPOSITED)
            post(RECEIVABLE if path in ("invoice", "creditmemo") else own, sign * record["TotalAmt"])
            post(TAX_PAYABLE, -sign * tax)
            rest = record["TotalAmt"] - tax
            lines = record["Line"]
            for line in lines:
                if line["DetailType"] == "DiscountLineDetail":
                    account = (line["DiscountLineDetail"].get("DiscountAccountRef") or {}).get("value", DISCOUNTS)
                    post(account, sign * line["Amount"])
                    rest += line["Amount"]
            sold = [line for line in lines if line["DetailType"] == "SalesItemLineDetail"]
            for number, line in enumerate(sold, 1):
                item = records.lists["item"][line["SalesItemLineDetail"]["ItemRef"]["value"]]
                # With TaxInclusive the lines hold tax: the last line takes what is left of the net amount.
                gross = sum((each["Amount"] for each in sold), ZERO)
                share = cents((record["TotalAmt"] - tax) * line["Amount"] / gross) if gross else ZERO
                inclusive = record["GlobalTaxCalculation"] == "TaxInclusive"
                part = rest if number == len(sold) else share if inclusive else line["Amount"]
                rest -= part
                post((item.get("IncomeAccountRef") or {}).get("value", INCOME), -sign * part)
    for record in records.lists["payment"].values():
        post(record["DepositToAccountRef"]["value"], record["TotalAmt"])
        post(RECEIVABLE, -record["TotalAmt"])
    for record in records.lists["journalentry"].values():
        for line in record["Line"]:
            detail = line.get("JournalEntryLineDetail")
            if detail:
                post(detail["AccountRef"]["value"], line["Amount"] * (1 if detail["PostingType"] == "Debit" else -1))
    return {account: sums[account] for account in sorted(sums, key=int)}
