"""Shopify: records, documents and a sandbox of the Admin GraphQL API (2026-10)."""
