"""Engine, transactions, ids and migrations. Imports nothing of ours."""
