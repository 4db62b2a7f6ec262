"""Sales: orders as snapshots, and the documents, payments, reservations and shipments that follow from them."""
