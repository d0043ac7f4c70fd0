"""The key by which registries know this host: lent to the server, kept where it made one, never taken by a link."""

from pathlib import Path

import pytest

from ollamactl.errors import HostError
from ollamactl.pulling.identity import Key


def test_the_first_server_makes_it_and_the_next_is_lent_it(tmp_path: Path) -> None:
    key = Key(folder=str(tmp_path / "identity"))
    first, second = tmp_path / "first", tmp_path / "second"
    key.lend(str(first))
    assert (key.public(), list(first.iterdir()), oct(first.stat().st_mode)[-3:]) == ("", [], "777")
    (first / ".ollama").mkdir()
    (first / ".ollama/id_ed25519").write_text("private")
    (first / ".ollama/id_ed25519.pub").write_text("ssh-ed25519 AAAA\n")

    key.keep(str(first))
    key.lend(str(second))

    assert (key.public(), Path(key.path).read_text()) == ("ssh-ed25519 AAAA", "private")
    assert oct(Path(key.path).stat().st_mode)[-3:] == "600"
    assert (second / ".ollama/id_ed25519").read_text() == "private"
    (second / ".ollama/id_ed25519").write_text("other")
    key.keep(str(second))
    assert Path(key.path).read_text() == "private", "what is kept stays"


def test_no_link_is_followed(tmp_path: Path) -> None:
    key = Key(folder=str(tmp_path / "identity"))
    (tmp_path / "home/.ollama").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    for name in ("id_ed25519", "id_ed25519.pub"):
        (tmp_path / "home/.ollama" / name).symlink_to(tmp_path / "secret")

    with pytest.raises(HostError):
        key.keep(str(tmp_path / "home"))
    assert key.public() == ""
