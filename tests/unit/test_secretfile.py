"""The digest of secrets: the same for the same ones, another for others, and of no use to who guesses."""

import hashlib
from itertools import pairwise

import pytest

from ollamactl import report
from ollamactl.files import FileKind
from ollamactl.model import Instance
from ollamactl.units import secretfile
from tests.unit.test_report import plan, remove, write

SALT, OTHER = "5a17" * 8, "0123" * 8


def file(salt: str = SALT, **secrets: str) -> bytes:
    instance = Instance(name="a", port=1, models=(), secrets=tuple(secrets.items()))
    return secretfile.text(instance, salt).encode()


def test_a_file_says_its_salt_and_what_its_server_will_have() -> None:
    data = file(TOKEN="hunter2")
    last = data.decode().splitlines()[-1]

    assert secretfile.salt(data) == SALT
    assert last == f"OLLAMACTL_SECRETS={secretfile.seal(data)}"
    assert (secretfile.seal(data) or "").startswith(f"{SALT}-")
    assert len(secretfile.digest(data)) == 8


def test_the_same_secrets_have_the_same_digest_and_others_another() -> None:
    files = [file(A="1"), file(A="1", B="2"), file(B="2", A="1"), file(A="2"), file(A="1=2"), file(B="1"), file()]

    assert secretfile.digest(files[0]) == secretfile.digest(file(A="1"))
    assert len({secretfile.digest(each) for each in files}) == len(files)


def test_an_edit_by_hand_shows() -> None:
    data = file(TOKEN="hunter2")

    assert secretfile.digest(data.replace(b"hunter2", b"hunter3")) not in ("", secretfile.digest(data))


def test_the_digest_alone_confirms_no_guess() -> None:
    """The salt is what a guess lacks: it is in the file alone, and is no part of what is shown."""
    data = file(TOKEN="hunter2")
    guesses = [b"hunter2", b'TOKEN="hunter2"', b"TOKEN=hunter2", data]
    shown = secretfile.digest(data)

    for name in ("sha256", "blake2b", "md5", "sha1"):
        assert all(not hashlib.new(name, guess).hexdigest().startswith(shown) for guess in guesses)
    assert shown not in SALT
    assert secretfile.digest(file(OTHER, TOKEN="hunter2")) != shown


def test_files_without_a_salt_have_no_digest() -> None:
    plain = "OLLAMACTL_SECRETS=" + hashlib.sha256(b"x").hexdigest()
    for data in (b"", b"TOKEN=x\n", plain.encode(), b"\xff\xfe", file()[:-2]):
        assert (secretfile.salt(data), secretfile.seal(data), secretfile.digest(data)) == ("", None, "")


def test_no_order_of_characters_makes_two_sets_of_secrets_one() -> None:
    texts = ["", '"', "\\", '\\"', "$", "`", "a\tb", "\nA=b", "#", "OLLAMACTL_SECRETS=x"]
    digests = [secretfile.seal(file(A=text)) for text in texts]

    assert all(one != other for one, other in pairwise(sorted(map(str, digests))))


OLD, NEW = file(TOKEN="hunter1").decode(), file(TOKEN="hunter2").decode()
OLD_DIGEST, NEW_DIGEST = (secretfile.digest(text.encode()) for text in (OLD, NEW))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, NEW, ["", "(secrets)\n"]),
        (OLD, NEW, [f"(secrets, digest {OLD_DIGEST})\n", f"(secrets, digest {NEW_DIGEST})\n"]),
        (OLD, None, [f"(secrets, digest {OLD_DIGEST})\n", ""]),
        ("TOKEN=hunter1\n", NEW, ["(secrets)\n", f"(secrets, digest {NEW_DIGEST})\n"]),
    ],
)
def test_a_diff_of_secrets_shows_that_they_differ_and_no_more(
    before: str | None, after: str | None, told: list[str]
) -> None:
    path = "/var/lib/ollamactl/secrets/a.env"
    one = write(after, before, FileKind.SECRETS, path) if after else remove(before or "", path)
    (row,) = report.plan_data(plan(one), diff=True)

    assert [row["before"], row["after"]] == told
    shown = report.diff_text(plan(one))
    assert "hunter" not in shown
    assert "5a17" not in shown
    assert all(line.strip() in shown for line in told)
