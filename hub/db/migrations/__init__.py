"""Migrations of the schema: one small module a revision in `versions/`, named by what it does."""
