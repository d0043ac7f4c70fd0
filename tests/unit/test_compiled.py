"""What a compile remembers of itself, and every doubt that makes it start anew, below a home of a test's own."""

from dataclasses import replace
from pathlib import Path

import pytest

from ollamactl import compiled
from ollamactl.errors import SpecError
from ollamactl.facts import Layout
from ollamactl.host import observe
from ollamactl.spec import specfile
from ollamactl.spec.source import Source

FLEET = """\
version: 1
defaults: {gpus: none}
instances:
  b: {port: 11435, models: [m]}
  a: {port: 11434, secrets: {TOKEN: hush}}
"""


class Manager:
    """As much of a manager as facts need."""

    def version(self) -> int:
        return 252


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> observe.Host:
    """This host, with folders of the test's own for all that is installed."""
    monkeypatch.setattr(observe.Host, "manager", Manager())
    layout = Layout(unit_dir=f"{tmp_path}/units", state_dir=f"{tmp_path}/state")
    return observe.Host(layout=layout)


@pytest.fixture
def applied(host: observe.Host) -> compiled.Compiled:
    """A fleet that is installed and remembered."""
    first = compiled.compile_spec(host, source())
    host.files.write_all(first.files)
    compiled.remember(host, source(), first)
    return first


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The specs that were parsed from here on."""
    names: list[str] = []
    load = specfile.load

    def counting(data: bytes, *, name: str, source: str) -> specfile.Spec:
        names.append(name)
        return load(data, name=name, source=source)

    monkeypatch.setattr(specfile, "load", counting)
    return names


def source(text: str = FLEET, path: str = "/root/fleet.yaml") -> Source:
    return Source(name=path, path=path, data=text.encode())


def test_what_was_applied_is_known_again_without_parsing(
    host: observe.Host, applied: compiled.Compiled, parsed: list[str]
) -> None:
    again = compiled.compile_spec(host, source())
    assert parsed == []
    assert [(each.name, each.port) for each in again.fleet.instances] == [("b", 11435), ("a", 11434)]
    assert again.fleet.instances[0] == applied.fleet.instances[0]
    assert {file.path: (file.data, file.mode) for file in again.files} == {
        file.path: (file.data, file.mode) for file in applied.files
    }
    assert [str(note) for note in again.notes] == [str(note) for note in applied.notes] != []


def test_another_text_or_place_is_parsed(host: observe.Host, applied: compiled.Compiled, parsed: list[str]) -> None:
    compiled.compile_spec(host, source(f"{FLEET}# the same\n"))
    compiled.compile_spec(host, source(path="/root/other.yaml"))
    assert parsed == ["/root/fleet.yaml", "/root/other.yaml"]
    with pytest.raises(SpecError):
        compiled.compile_spec(host, source(FLEET.replace("11435", "x")))


@pytest.mark.parametrize("how", ["edited", "removed", "mode", "another host", "another program", "damaged", "half"])
def test_any_doubt_leads_to_the_long_way(
    host: observe.Host, applied: compiled.Compiled, parsed: list[str], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_in = Path(host.layout.unit_dir, "ollama@a.service.d/10-ollamactl.conf")
    memory = Path(host.layout.state_dir, "compiled.json")
    match how:
        case "edited":
            drop_in.write_text(f"{drop_in.read_text()}# by hand\n")
        case "removed":
            drop_in.unlink()
        case "mode":
            drop_in.chmod(0o600)
        case "another host":
            host = replace(host, systemd=260)
        case "another program":
            monkeypatch.setattr(compiled, "__version__", "0.0.0")
        case "damaged":
            memory.write_text("{")
        case "half":
            memory.write_text("{}")
    assert compiled.compile_spec(host, source()).fleet == applied.fleet
    assert parsed == ["/root/fleet.yaml"]


def test_what_is_remembered_is_for_root_alone_and_holds_no_secret(
    host: observe.Host, applied: compiled.Compiled
) -> None:
    memory = Path(host.layout.state_dir, "compiled.json")
    assert memory.stat().st_mode & 0o777 == 0o600
    assert "hush" not in memory.read_text()


def test_what_is_forgotten_is_the_hosts_own_alone(host: observe.Host, applied: compiled.Compiled) -> None:
    memory = Path(host.layout.state_dir, "compiled.json")
    compiled.forget(replace(host, root=Path("/image")))
    assert memory.exists(), "an image has nothing that could be forgotten"
    compiled.forget(host)
    compiled.forget(host)
    assert not memory.exists()


def test_an_image_is_neither_remembered_nor_taken_for_the_host(
    host: observe.Host, applied: compiled.Compiled, parsed: list[str], tmp_path: Path
) -> None:
    compiled.compile_spec(observe.Host(root=tmp_path / "image", layout=host.layout), source())
    assert parsed == ["/root/fleet.yaml"]


def test_what_is_installed_is_compiled_from_its_files(host: observe.Host, applied: compiled.Compiled) -> None:
    found = compiled.compile_installed(host)
    assert {each.name for each in found.fleet.instances} == {"a", "b"}
    assert {file.path for file in found.files} == {file.path for file in applied.files}
    once = compiled.compile_files(host, applied.files)
    assert (once.fleet, once.files) == (found.fleet, applied.files)
