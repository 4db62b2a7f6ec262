"""The demo's sandboxes, in a process of their own: `python -m hub.cli.demo.sandboxes`.

Reads their settings as one line of JSON from standard input, prints their addresses as one line of JSON, and ends when
its standard input ends, so that nothing stays behind when the demo is stopped.
"""

from __future__ import annotations

import json
import sys

from hub.connect import sandboxes
from hub.connect.registry import Registry


def main() -> None:
    settings = json.loads(sys.stdin.readline())
    registry = Registry.discover()
    running = {name: sandboxes.start(registry, name, **each) for name, each in settings.items()}
    addresses = {name: each.url for name, each in running.items()}
    if "smtp" in running:
        # the mail server answers questions about itself on a port of its own
        addresses["smtp_control"] = f"http://127.0.0.1:{running['smtp'].state.http_port}"
    print(json.dumps(addresses), flush=True)
    sys.stdin.read()
    for each in running.values():
        each.stop()


if __name__ == "__main__":
    main()
