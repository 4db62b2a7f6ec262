"""The ledger: accounts, sealed entries, gapless numbers, the chain and its verification."""
