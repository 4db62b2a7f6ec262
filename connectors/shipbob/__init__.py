"""ShipBob: orders to prepare, shipments back, and a sandbox."""
