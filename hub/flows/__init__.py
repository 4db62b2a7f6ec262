"""Flows: definition, lint, compile, run. `steps/` has one file a step."""
