import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ollamactl.errors import HostError, NotPermitted
from ollamactl.facts import Layout
from ollamactl.files import MARKER, File, FileKind
from ollamactl.host.unitdir import UnitDir

UNITS = "/etc/systemd/system"
STATE = "/var/lib/ollamactl"
OURS = f"{MARKER}\n[Unit]\n".encode()
Place = tuple[UnitDir, Layout, Path]


@pytest.fixture(params=["--root", "host"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The same folders as another root, and as the host's own at unusual places: the unit dir and its layout."""
    if request.param == "--root":
        return UnitDir(tmp_path), Layout(), tmp_path
    layout = Layout(unit_dir=f"{tmp_path}{UNITS}", state_dir=f"{tmp_path}{STATE}")
    return UnitDir(layout=layout), layout, tmp_path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def units(root: Path) -> UnitDir:
    (root / "etc/systemd/system").mkdir(parents=True)
    return UnitDir(root)


def template(data: bytes = OURS) -> File:
    return File(path=f"{UNITS}/ollama@.service", data=data, kind=FileKind.TEMPLATE)


def drop_in(name: str, data: bytes = OURS, layout: Layout | None = None) -> File:
    unit_dir = layout.unit_dir if layout else UNITS
    path = f"{unit_dir}/ollama@{name}.service.d/10-ollamactl.conf"
    return File(path=path, data=data, kind=FileKind.DROP_IN, instance=name)


def secrets(name: str, data: bytes = OURS, layout: Layout | None = None) -> File:
    path = f"{(layout or Layout()).secrets}/{name}.env"
    return File(path=path, data=data, kind=FileKind.SECRETS, instance=name, mode=0o600)


def view(name: str, data: bytes = b"{}", layout: Layout | None = None) -> File:
    path = f"{(layout or Layout()).views}/{name}/registry.ollama.ai/library/m/latest"
    return File(path=path, data=data, kind=FileKind.VIEW, instance=name)


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_what_is_written_is_what_is_managed(place: Place) -> None:
    units, layout, _ = place
    files = [make(name, layout=layout) for make in (drop_in, secrets, view) for name in ("a", "b")]
    units.write_all(files)
    seen = units.managed(layout)
    assert {path: (file.data, file.mode, file.ours) for path, file in seen.items()} == {
        file.path: (file.data, file.mode, True) for file in files
    }
    assert [units.read(file.path) for file in files] == [file.data for file in files]
    assert [units.mode(file.path) for file in files] == [0o644, 0o644, 0o600, 0o600, 0o644, 0o644]


def test_what_is_removed_takes_its_empty_folders_along_and_no_more(place: Place) -> None:
    units, layout, root = place
    files = [make(name, layout=layout) for make in (drop_in, secrets, view) for name in ("a", "b")]
    units.write_all(files)
    for file in files:
        if file.instance == "a":
            units.remove(file.path)
            units.remove(file.path)
    assert [file.instance for file in files if file.path in units.managed(layout)] == ["b", "b", "b"]
    assert not (root / "etc/systemd/system/ollama@a.service.d").exists()
    assert [path.name for path in (root / "var/lib/ollamactl/views").iterdir()] == ["b"]


def test_an_administrators_drop_in_keeps_the_folder(units: UnitDir, root: Path) -> None:
    units.write(drop_in("a"))
    other = root / "etc/systemd/system/ollama@a.service.d/override.conf"
    other.write_text("[Service]\n")
    units.remove(drop_in("a").path)
    assert tree(root) == ["etc/systemd/system/ollama@a.service.d/override.conf"]
    with pytest.raises(HostError, match=r"override\.conf is not ollamactl's"):
        units.remove(f"{UNITS}/ollama@a.service.d/override.conf")


def test_folders_are_open_and_secrets_closed_whatever_the_umask(units: UnitDir, root: Path) -> None:
    before = os.umask(0o077)
    try:
        units.write_all([drop_in("a"), secrets("a"), view("a")])
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (root / "var/lib/ollamactl").rglob("*") if p.is_dir()}
    assert modes.pop("secrets") == 0o700
    assert set(modes.values()) == {0o755}
    assert units.mode(drop_in("a").path) == 0o644
    assert units.mode(secrets("a").path) == 0o600
    os.umask(0)
    try:
        units.write(secrets("b"))
    finally:
        os.umask(before)
    assert units.mode(secrets("b").path) == 0o600


def test_a_write_replaces_the_file_and_its_mode_but_never_writes_into_it(units: UnitDir, root: Path) -> None:
    path = root / UNITS[1:] / "ollama@.service"
    units.write(template())
    path.chmod(0o600)
    with path.open("rb") as reader:
        units.write(template(OURS + b"new"))
        assert reader.read() == OURS
    assert (units.read(template().path), units.mode(template().path)) == (OURS + b"new", 0o644)


@pytest.mark.parametrize("data", [b"[Service]\n", b"", b"\n" + OURS, b"\xff"])
def test_a_foreign_file_is_seen_and_neither_overwritten_nor_removed(units: UnitDir, root: Path, data: bytes) -> None:
    path = root / UNITS[1:] / "ollama@.service"
    path.write_bytes(data)
    assert not units.managed()[template().path].ours
    write: Callable[[], None] = lambda: units.write_all([drop_in("a"), template()])  # noqa: E731
    for change in (write, lambda: units.remove(template().path)):
        with pytest.raises(HostError, match="not ollamactl's") as refused:
            change()
        assert f"mv {path} {path}.bak" in refused.value.hint
    assert path.read_bytes() == data
    assert tree(root) == ["etc/systemd/system/ollama@.service"]


def test_a_masked_unit_stays_masked_and_says_how_to_unmask(units: UnitDir, root: Path) -> None:
    path = root / UNITS[1:] / "ollama@.service"
    path.symlink_to("/dev/null")
    seen = units.managed()[template().path]
    assert (seen.ours, seen.data) == (False, b"/dev/null")
    with pytest.raises(HostError, match="is masked") as refused:
        units.write(template())
    assert "systemctl unmask ollama@.service" in refused.value.hint
    assert path.is_symlink()


def test_a_unit_that_takes_an_instances_place_is_seen(units: UnitDir, root: Path) -> None:
    (root / UNITS[1:] / "ollama@llama3.service").write_text("[Service]\n")
    (root / UNITS[1:] / "ollama.service").write_text("[Service]\n")
    assert [(file.path, file.ours) for file in units.managed().values()] == [(f"{UNITS}/ollama@llama3.service", False)]


@pytest.mark.parametrize("link", ["etc/systemd/system/ollama@a.service.d", "var/lib/ollamactl/views"])
def test_a_linked_folder_of_ours_is_not_written_through(units: UnitDir, root: Path, link: str) -> None:
    (root / "elsewhere").mkdir()
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(root / "elsewhere")
    with pytest.raises(HostError, match="symbolic link") as refused:
        units.write_all([drop_in("a"), view("a")])
    assert str(root / link) in str(refused.value)
    assert not any((root / "elsewhere").iterdir())


@pytest.mark.parametrize("link", ["var/lib/ollamactl", "var/lib"])
def test_folders_above_ours_may_be_links(units: UnitDir, root: Path, link: str) -> None:
    (root / "elsewhere").mkdir()
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(root / "elsewhere")
    readme = File(path="/var/lib/ollamactl/views/a/README", data=b"", kind=FileKind.VIEW, instance="a")
    units.write_all([drop_in("a"), view("a"), readme])
    assert len(units.managed()) == 3


def test_nothing_is_written_outside_the_root(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (root / "etc").symlink_to(outside)
    with pytest.raises(HostError, match="leads out of"):
        UnitDir(root).write(template())
    assert not any(outside.iterdir())


@pytest.mark.parametrize("path", ["etc/x", "/etc/../x", "/etc//x", ""])
def test_a_path_that_is_not_plain_is_refused(units: UnitDir, path: str) -> None:
    with pytest.raises(HostError, match="plain absolute path"):
        units.read(path)


def test_a_write_that_fails_changes_no_file_and_leaves_none(units: UnitDir, root: Path) -> None:
    units.write_all([drop_in("a"), drop_in("b")])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(HostError, match=r"ollama@b.service.d/10-ollamactl.conf: cannot write"):
            units.write_all([drop_in("a", OURS + b"new"), drop_in("b", OURS * 4096)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {file.data for file in units.managed().values()} == {OURS}
    assert len(tree(root)) == 2


def test_a_file_where_a_folder_belongs_is_said(units: UnitDir, root: Path) -> None:
    (root / UNITS[1:] / "ollama@a.service.d").write_text("")
    with pytest.raises(HostError, match=r"cannot .*not a directory"):
        units.write(drop_in("a"))


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights")
def test_without_root_it_is_not_permitted(units: UnitDir, root: Path) -> None:
    units.write_all([template(), secrets("a")])
    for folder in (root, *root.parents):
        if folder.stat().st_uid == 0 and str(folder) not in ("/", "/tmp"):
            folder.chmod(0o755)
    os.seteuid(65534)
    try:
        changes: tuple[Callable[[], None], ...] = (
            lambda: units.write(template(OURS + b"x")),
            lambda: units.remove(template().path),
            lambda: units.enable("ollama@a.service"),
        )
        for change in changes:
            with pytest.raises(NotPermitted) as refused:
                change()
            assert "sudo" in refused.value.hint
        assert units.read(template().path) == OURS
        seen = units.managed()
        assert list(seen) == [f"{STATE}/secrets", template().path]
        assert (seen[f"{STATE}/secrets"].unread, seen[f"{STATE}/secrets"].ours) == (True, True)
    finally:
        os.seteuid(0)
    (root / STATE[1:] / "secrets").chmod(0o755)
    os.seteuid(65534)
    try:
        file = units.managed()[secrets("a").path]
        assert (file.unread, file.ours, file.data, file.mode) == (True, True, b"", 0o600)
    finally:
        os.seteuid(0)


def test_a_folder_of_secrets_that_others_may_look_into_is_seen_and_closed(units: UnitDir, root: Path) -> None:
    units.write_all([secrets("a"), view("a")])
    assert {file.exposed for file in units.managed().values()} == {False}
    (root / STATE[1:] / "secrets").chmod(0o755)
    assert {path: file.exposed for path, file in units.managed().items()} == {
        secrets("a").path: True,
        view("a").path: False,
    }
    units.write(secrets("a"))
    assert {file.exposed for file in units.managed().values()} == {False}
    units.remove(secrets("a").path)
    assert not (root / STATE[1:] / "secrets").exists(), "an empty folder goes with the last secret"


def test_what_a_killed_run_left_is_listed_removed_and_told_from_files(units: UnitDir, root: Path) -> None:
    units.write_all([drop_in("a"), view("a")])
    left = [f"{UNITS}/.ollamactl-1-0", f"{Path(drop_in('a').path).parent}/.ollamactl-1-1", f"{Path(view('a').path).parent}/.ollamactl-1-2"]  # fmt: skip  # noqa: E501
    for path in left:
        (root / path[1:]).write_bytes(b"half")
    assert {path for path, file in units.managed().items() if file.leftover} == set(left)
    assert len(units.managed()) == 2 + len(left)
    for path in left:
        units.remove(path)
    assert len(units.managed()) == 2


@pytest.mark.parametrize("user", [False, True])
def test_enablement_links_are_those_of_systemctl(root: Path, user: bool) -> None:
    layout = Layout(user=user)
    units = UnitDir(root, layout)
    for _ in range(2):
        units.enable("ollama@a.service")
        units.enable("ollama-fleet.target")
    assert (units.wanted(layout), units.target_enabled(layout)) == (("ollama@a.service",), True)
    folder = root / UNITS[1:]
    at_boot = "default.target.wants" if user else "multi-user.target.wants"
    assert (folder / "ollama-fleet.target.wants/ollama@a.service").readlink() == Path(f"{UNITS}/ollama@.service")
    assert (folder / at_boot / "ollama-fleet.target").readlink() == Path(f"{UNITS}/ollama-fleet.target")
    for _ in range(2):
        units.disable("ollama@a.service")
        units.disable("ollama-fleet.target")
    assert (units.wanted(layout), units.target_enabled(layout)) == ((), False)


def test_more_files_than_a_process_may_have_open(units: UnitDir) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
    try:
        units.write_all([drop_in(f"i{number}") for number in range(500)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(units.managed()) == 500
