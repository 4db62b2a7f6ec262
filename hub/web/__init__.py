"""What answers over HTTP: webhooks, OAuth, the API, and a page for people."""
