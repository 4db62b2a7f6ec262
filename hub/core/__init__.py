"""The thin core: ledger, stock and sales. Knows nothing of flows, HTTP or vendors."""
