"""What is found of an Ollama below a root; the host's own places are looked at in the system tests."""

import os
from pathlib import Path

import pytest

from ollamactl.host import discover

STOCK, USUAL = "/usr/share/ollama/.ollama/models", "/var/lib/ollama/models"
UNIT = "etc/systemd/system/ollama.service"


def make_store(root: Path, path: str) -> str:
    for name in ("manifests", "blobs"):
        (root / path.lstrip("/") / name).mkdir(parents=True)
    return path


def write(path: Path, text: str = "", mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def test_a_bare_root_has_nothing(tmp_path: Path) -> None:
    assert (discover.stores(tmp_path), discover.closed(tmp_path), discover.programs(tmp_path)) == ((), (), ())
    assert not discover.service(tmp_path)


def test_stores_where_users_and_installers_put_them_the_usual_one_first(tmp_path: Path) -> None:
    make_store(tmp_path, STOCK)
    make_store(tmp_path, "/root/.ollama/models")
    assert discover.stores(tmp_path) == (STOCK, "/root/.ollama/models")
    make_store(tmp_path, USUAL)
    assert discover.stores(tmp_path)[0] == USUAL
    (tmp_path / USUAL.lstrip("/") / "blobs").rmdir()
    assert discover.stores(tmp_path)[0] == STOCK


def test_one_store_with_two_names_is_one(tmp_path: Path) -> None:
    make_store(tmp_path, STOCK)
    (tmp_path / "var/lib/ollama").mkdir(parents=True)
    (tmp_path / USUAL.lstrip("/")).symlink_to(os.path.relpath(f"{tmp_path}{STOCK}", tmp_path / "var/lib/ollama"))
    assert discover.stores(tmp_path) == (USUAL,)


@pytest.mark.parametrize(
    "assignment", ["OLLAMA_MODELS=/srv/m", '"OLLAMA_MODELS=/srv/m"', "A=b OLLAMA_MODELS=/srv/m C=d"]
)
@pytest.mark.parametrize("where", [UNIT, f"{UNIT}.d/override.conf"])
def test_the_store_that_the_service_was_told_of_is_found(tmp_path: Path, where: str, assignment: str) -> None:
    write(tmp_path / where, f"[Service]\n#Environment=OLLAMA_MODELS=/no\nEnvironment={assignment}\n")
    make_store(tmp_path, "/srv/m")
    make_store(tmp_path, "/no")
    make_store(tmp_path, STOCK)
    assert discover.stores(tmp_path) == ("/srv/m", STOCK)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights")
def test_where_only_root_may_look_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder) not in ("/", "/tmp"):
            folder.chmod(0o755)
    make_store(tmp_path, STOCK)
    (tmp_path / "usr/share/ollama").chmod(0o700)
    os.seteuid(65534)
    try:
        assert (discover.stores(tmp_path), discover.closed(tmp_path)) == ((), (STOCK,))
    finally:
        os.seteuid(0)


def test_programs_that_can_be_run(tmp_path: Path) -> None:
    write(tmp_path / "usr/bin/ollama", mode=0o755)
    write(tmp_path / "usr/local/bin/ollama", mode=0o644)
    if os.geteuid() != 0:
        return
    assert discover.programs(tmp_path) == ("/usr/bin/ollama",)


def test_the_service_is_in_the_way_only_where_it_starts(tmp_path: Path) -> None:
    write(tmp_path / UNIT)
    assert not discover.service(tmp_path)
    wants = tmp_path / "etc/systemd/system/default.target.wants/ollama.service"
    wants.parent.mkdir()
    wants.symlink_to("../ollama.service")
    assert discover.service(tmp_path)
    (tmp_path / UNIT).unlink()
    (tmp_path / UNIT).symlink_to("/dev/null")
    assert not discover.service(tmp_path), "it is masked"
    (tmp_path / UNIT).unlink()
    assert not discover.service(tmp_path), "it is gone, and left its link"


def test_a_service_that_runs_is_in_the_way(tmp_path: Path) -> None:
    write(tmp_path / "usr/lib/systemd/system/ollama.service")
    (tmp_path / "sys/fs/cgroup/system.slice/ollama.service").mkdir(parents=True)
    assert discover.service(tmp_path)


def test_on_the_host_the_callers_own_places_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", make_store(Path("/"), f"{tmp_path}/set"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    make_store(tmp_path, "/.ollama/models")
    write(tmp_path / "bin/ollama", mode=0o755)
    assert discover.stores()[0] == f"{tmp_path}/set"
    assert discover.stores()[-1] == f"{tmp_path}/.ollama/models"
    assert discover.programs()[-1] == f"{tmp_path}/bin/ollama"
