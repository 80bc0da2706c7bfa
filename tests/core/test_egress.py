"""Where a channel may call."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.egress import Allowed, complaint, is_outside, read_allowed

INSIDE = [
    "0.0.0.0",
    "10.0.0.5",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.5",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "fc00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
OUTSIDE = ["1.1.1.1", "52.85.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_called(address: str) -> None:
    assert not is_outside(ip_address(address))
    assert "is a private address" in complaint(address, "", Allowed())


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_outside_is(address: str) -> None:
    assert complaint(address, "", Allowed()) == ""


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_an_address_is_no_freer_for_being_written_as_ipv6(address: IPv4Address) -> None:
    forms = [
        IPv6Address(f"::ffff:{address}"),
        IPv6Address(int(IPv6Address("64:ff9b::")) + int(address)),
        IPv6Address(int(IPv6Address("2002::")) + (int(address) << 80)),
    ]
    assert {is_outside(form) for form in forms} == {is_outside(address)}


def test_a_zone_does_not_hide_an_address() -> None:
    assert "private" in complaint("fe80::1%eth0", "", Allowed())


def test_the_complaint_names_what_was_looked_up_and_the_setting() -> None:
    assert complaint("10.0.0.5", "intern.example.com", Allowed()) == (
        "10.0.0.5 (intern.example.com) is not called, because it is a private address: "
        'MONITORING["CHANNEL_PRIVATE_HOSTS"] can allow it'
    )


def test_a_name_that_only_the_system_would_look_up_is_not_called() -> None:
    assert "connected to by name" in complaint("intern", "", Allowed())


class TestWhatIsAllowed:
    ALLOWED, _ = read_allowed(["Hooks.Intern.", "10.1.0.0/16", "192.168.7.7", "fd00::/8"])

    @pytest.mark.parametrize(
        ("host", "name"),
        [
            ("10.1.200.3", ""),
            ("192.168.7.7", "anything"),
            ("fd12::1", ""),
            ("10.9.9.9", "hooks.intern"),
            ("10.9.9.9", "HOOKS.intern."),
        ],
    )
    def test_is_called(self, host: str, name: str) -> None:
        assert complaint(host, name, self.ALLOWED) == ""

    @pytest.mark.parametrize(
        ("host", "name"),
        [("10.2.0.1", ""), ("192.168.7.8", ""), ("10.9.9.9", "other.hooks.intern")],
    )
    def test_and_nothing_beside_it(self, host: str, name: str) -> None:
        assert complaint(host, name, self.ALLOWED)

    @pytest.mark.parametrize("entry", ["http://intern", "a b", "", "10.0.0.0/33", "intern:8080"])
    def test_an_entry_that_is_neither_host_nor_network_is_told(self, entry: str) -> None:
        assert read_allowed(["intern", entry])[1] == [entry]
