import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamactl.units.identity import user_name

NAMES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=60)


@pytest.mark.parametrize("instance", ["llama3", "a-b_c", "a" * 24])
def test_a_name_is_kept_where_systemd_takes_it(instance: str) -> None:
    assert user_name(instance) == f"ollama-{instance}"


@pytest.mark.parametrize("instance", ["a" * 25, "Big", "qwen2.5"])
def test_another_name_becomes_a_hash(instance: str) -> None:
    assert re.fullmatch(r"ollama_[0-9a-f]{24}", user_name(instance))


@given(NAMES)
def test_every_name_is_one_that_systemd_takes(instance: str) -> None:
    assert re.fullmatch(r"[a-z_][a-z0-9_-]{0,30}", user_name(instance))


@given(NAMES, NAMES)
def test_two_instances_never_share_a_user(one: str, other: str) -> None:
    assert (user_name(one) == user_name(other)) == (one == other)


def test_no_name_can_be_chosen_to_be_anothers_hash() -> None:
    hashed = user_name("Big")
    assert user_name(hashed.removeprefix("ollama_")) != hashed
