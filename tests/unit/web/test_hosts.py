"""Which Host headers name this hub."""

import pytest

from hub.web.access import Hosts


@pytest.mark.parametrize(
    ("bind", "public", "header", "allowed"),
    [
        ("127.0.0.1", "", "127.0.0.1:8484", True),
        ("127.0.0.1", "", "localhost:8484", True),
        ("127.0.0.1", "", "localhost", False),
        ("127.0.0.1", "", "192.168.1.2:8484", False),
        ("127.0.0.1", "", "evil.example:8484", False),
        ("127.0.0.1", "", "localhost:8484@evil.example", False),
        ("127.0.0.1", "", "localhost:port", False),
        ("127.0.0.1", "https://hub.example.com", "hub.example.com", True),
        ("127.0.0.1", "https://hub.example.com", "HUB.example.com:443", True),
        ("127.0.0.1", "https://hub.example.com", "hub.example.com:80", False),
        ("127.0.0.1", "https://hub.example.com", "hub.example.com.evil.example", False),
        ("127.0.0.1", "http://hub.example.com:9000", "hub.example.com:9000", True),
        ("0.0.0.0", "", "192.168.1.2:8484", True),
        ("0.0.0.0", "", "[fe80::1]:8484", True),
        ("0.0.0.0", "", "evil.example:8484", False),
        ("[::1]", "", "[::1]:8484", True),
        ("192.168.1.2", "", "192.168.1.2:8484", True),
        ("192.168.1.2", "", "localhost:8484", False),
    ],
)
def test_a_host_header_names_this_hub_or_does_not(bind, public, header, allowed):
    assert Hosts(bind, 8484, public).allow(header) is allowed
