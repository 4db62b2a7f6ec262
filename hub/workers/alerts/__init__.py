"""Alerts: what waits or fails is told to people, by rules of `alerts.yaml`.

Rules are looked at on the tables and not on events (level, not edge): a crash loses nothing, a storm of a thousand questions is
one alert, and nothing is added to the way of an order. What is to be told becomes one core event, `alert.raised`; ordinary flows
answer it, so an alert is mapped, sent, retried, limited and proven as everything else that leaves the hub, and a hub may put
flows of its own in their place.
"""
