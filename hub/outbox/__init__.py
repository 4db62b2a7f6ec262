"""Deliveries out: plan, claim, send, retry, park; the effect log."""
