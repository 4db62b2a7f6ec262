"""Acme: contacts and notes about them."""
