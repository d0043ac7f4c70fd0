from pathlib import Path

from ollamactl.host import addresses

FIXTURES = Path(__file__).parent.parent / "fixtures"


def test_own_addresses_in_order_without_loopback_link_local_and_temporary_ones() -> None:
    assert addresses.own(FIXTURES / "net") == ("10.1.2.3", "192.168.1.9", "192.168.1.20", "2001:db8::20", "fd00::2")


def test_a_host_without_tables_has_none(tmp_path: Path) -> None:
    assert addresses.own(tmp_path) == ()


def test_twice_the_same() -> None:
    assert addresses.own() == addresses.own()


def test_only_addresses_of_the_host_can_be_listened_on() -> None:
    """203.0.113.0/24 and 2001:db8::/32 are for documentation (RFC 5737, RFC 3849)."""
    hosts = ["127.0.0.1", "127.9.9.9", *addresses.own(), "203.0.113.77", "2001:db8::77"]
    assert addresses.lacking(hosts) == {"203.0.113.77", "2001:db8::77"}
