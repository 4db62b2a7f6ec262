"""What people and programs can do to a hub: plain functions of a `Hub` that answer JSON-able data. The API and the CLI
call these and nothing else."""
