"""Any HTTP system: webhooks in, requests out, all by settings."""
