"""QuickBooks Online: customers, items, taxes, invoices, credit memos and payments, and a sandbox."""
