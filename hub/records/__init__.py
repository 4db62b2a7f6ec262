"""Canonical records and Money. Imports nothing of ours."""
