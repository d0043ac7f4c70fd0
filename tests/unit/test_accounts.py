import os
import pwd
from pathlib import Path

import pytest

from ollamactl.host import accounts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").write_text("root:x:0:\nvideo:x:44:ada\nrenderers:x:45:\n")
    (tmp_path / "etc/passwd").write_text(f"nobody:x:65534:1:::\nbroken\nkeeper:x:{os.getuid()}:1::/:/bin/false\n")
    return tmp_path


def test_below_another_root_its_own_files_say_which_groups_there_are(root: Path) -> None:
    assert accounts.card_groups(root) == ("video",)


def test_a_root_without_groups_has_none(tmp_path: Path) -> None:
    assert accounts.card_groups(tmp_path) == ()


def test_this_host_names_the_owner_of_a_folder(tmp_path: Path) -> None:
    assert accounts.owner(tmp_path) == pwd.getpwuid(os.getuid()).pw_name


def test_below_another_root_its_own_files_name_the_owner(root: Path) -> None:
    assert accounts.owner(root / "etc", root) == "keeper"


def test_what_is_not_there_has_no_owner(tmp_path: Path) -> None:
    assert accounts.owner(tmp_path / "nothing") == ""
