"""The stock: items, locations, moves, reservations and what channels believe."""
