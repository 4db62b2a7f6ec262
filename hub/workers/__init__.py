"""How work is woken up, and what people and programs can do to a hub."""
