from pathlib import Path

from ollamactl import addresses

FIXTURES = Path(__file__).parent.parent / "fixtures"


def test_own_addresses_in_order_without_loopback_link_local_and_temporary_ones() -> None:
    assert addresses.own(FIXTURES / "net") == ("10.1.2.3", "192.168.1.9", "192.168.1.20", "2001:db8::20", "fd00::2")


def test_a_host_without_tables_has_none(tmp_path: Path) -> None:
    assert addresses.own(tmp_path) == ()


def test_twice_the_same() -> None:
    assert addresses.own() == addresses.own()
