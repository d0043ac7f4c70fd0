import errno
import os

import pytest

from ollamactl.errors import HostError, NotPermitted
from ollamactl.host.oserrors import translate


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "df -h /a/b"),
        (errno.EROFS, "read-only"),
        (errno.ENOTDIR, "namei -l /a/b"),
        (errno.EIO, ""),
    ],
)
def test_says_where_why_and_what_to_do(number: int, hint: str) -> None:
    error = translate(OSError(number, os.strerror(number)), "write", "/a/b")
    assert type(error) is HostError
    assert str(error) == f"/a/b: cannot write: {os.strerror(number).lower()}"
    assert hint in error.hint


def test_a_missing_right_is_not_permitted_but_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert isinstance(translate(refused, "write", "/a"), NotPermitted)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "lsattr" in translate(refused, "write", "/a").hint
