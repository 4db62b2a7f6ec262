"""What each document of Shopify costs is said before its first answer tells: else it waits for a full bucket."""

from __future__ import annotations

from hub.connect.declared_limits import CostLimit
from hub.connect.registry import Registry, shipped


def test_every_document_has_its_cost() -> None:
    [limit] = Registry.discover().get("shopify").manifest.limits
    assert isinstance(limit, CostLimit)
    documents = {file.stem for file in (shipped("connectors") / "shopify" / "documents").glob("*.graphql")}
    assert set(limit.costs) == documents
