"""What doctor judges of values: variables, addresses, cards, stores, rights."""

from dataclasses import replace
from typing import Any

import pytest

from ollamactl.doctor import rights
from ollamactl.doctor.environ import EnvironmentFile
from ollamactl.doctor.host import Store
from ollamactl.doctor.server import Node, Process
from ollamactl.errors import Problem, Severity
from ollamactl.facts import Gpu
from ollamactl.observed import Active, PortHolder
from tests.unit.doctor_values import H100, KFD, MI100, RTX, STORE, UP, UVM, found, only, place, server, traps

DOWN = replace(UP, active=Active.INACTIVE, sub_state="dead", main_pid=0)
NOTHING = Process()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("OLLAMA_VULKAN", "off", ["boolean-opposite"]),
        ("OLLAMA_VULKAN", "yes", []),
        ("OLLAMA_VULKAN", "'0'", []),
        ("OLLAMA_DEBUG", "off", []),
        ("OLLAMA_PORT", "1", ["unknown-variable"]),
        ("OLLAMA_DOT_COM_URL", "x", []),
        ("OLLAMACTL_CONFIG", "x", []),
        ("OLLAMA_KEEP_ALIVE", "30min", ["unreadable-duration"]),
        ("OLLAMA_KEEP_ALIVE", "-1", []),
        ("OLLAMA_LOAD_TIMEOUT", "1h", []),
        ("OLLAMA_NUM_PARALLEL", "two", ["unreadable-number"]),
        ("OLLAMA_CONTEXT_LENGTH", "8k", ["unreadable-number"]),
        ("OLLAMA_KV_CACHE_TYPE", "Q8_0", []),
        ("OLLAMA_KV_CACHE_TYPE", "int8", ["unknown-cache-type"]),
        ("OLLAMA_GPU_OVERHEAD", "1", ["overhead-ignored"]),
        ("OLLAMA_GPU_OVERHEAD", "0", []),
        ("OLLAMA_LLM_LIBRARY", "cuda_v12", []),
        ("OLLAMA_LLM_LIBRARY", "cuda_v11", ["unknown-library"]),
        ("OLLAMA_LLM_LIBRARY", "mlx_cuda", []),
        ("OLLAMA_ORIGINS", "http://a, *", ["any-origin"]),
        ("OLLAMA_ORIGINS", "http://*.example", []),
    ],
)
def test_a_variable(name: str, value: str, expected: list[str]) -> None:
    assert traps(server({name: value}, libraries=("cuda_v12",))) == expected


def test_no_value_of_a_variable_that_may_be_a_password_is_told() -> None:
    assert "hunter2" not in str(found(server({"OLLAMA_PASSWORD": "hunter2"})))


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (EnvironmentFile(path="/f", optional=False, missing=True), ["environment-file-missing"]),
        (EnvironmentFile(path="/f", optional=True, missing=True), []),
        (EnvironmentFile(path="/f", optional=False), []),
        (EnvironmentFile(path="/f", optional=False, text="export OLLAMA_X=1\n"), ["environment-file-for-shell"]),
        (EnvironmentFile(path="/f", optional=False, text="export OTHER=1\n"), []),
    ],
)
def test_environment_files(file: EnvironmentFile, expected: list[str]) -> None:
    assert traps(server(environment_files=(file,))) == expected


@pytest.mark.parametrize(
    ("value", "expected", "meant"),
    [
        ("127.0.0.1:1", [], ""),
        ("localhost", [], ""),
        ("[::1]:1", [], ""),
        ("::1", [], ""),
        ("http://127.0.0.1:80", [], ""),
        ("http://127.0.0.1", ["host-spelling"], "127.0.0.1:11434"),
        ("https://[::1]:2", ["host-spelling"], "[::1]:2"),
        ("11435", ["host-spelling"], "127.0.0.1:11435"),
        (":11435", ["host-spelling"], "127.0.0.1:11435"),
        ("gpu1:11435", ["host-spelling"], "127.0.0.1:11435"),
        ("::1:11435", ["host-spelling"], "127.0.0.1:11435"),
        ("127.0.0.1:x", ["invalid-port"], "127.0.0.1:11434"),
    ],
)
def test_the_spelling_of_an_address(value: str, expected: list[str], meant: str) -> None:
    findings = found(server({"OLLAMA_HOST": value}))

    assert [str(f.trap) for f in findings] == expected
    assert [f.mend.drop_in for f in findings] == [f"[Service]\nEnvironment=OLLAMA_HOST={meant}\n"] * len(expected)


@pytest.mark.parametrize(
    ("value", "changes", "expected"),
    [
        ("0.0.0.0", {}, ["open-to-network"]),
        ("0.0.0.0", {"settings": {"fenced": True}}, []),
        ("0.0.0.0", {"settings": {"private_network": True}}, []),
        ("0.0.0.0", {"ours": True}, []),
        ("10.0.0.1", {}, ["open-to-network"]),
        ("10.0.0.2", {}, ["address-elsewhere"]),
        ("10.0.0.2", {"state": UP, "process": Process(listens=())}, ["address-elsewhere"]),
        ("10.0.0.2", {"state": UP}, ["open-to-network"]),
        ("169.254.1.1", {}, ["open-to-network"]),
        ("127.0.0.2", {}, []),
        ("::1", {}, []),
        (None, {}, []),
    ],
)
def test_where_a_server_that_is_down_will_listen(value: str, changes: dict[str, Any], expected: list[str]) -> None:
    down = server({"OLLAMA_HOST": value}, **{"state": DOWN, "process": NOTHING, **changes})

    assert traps(down, addresses=("10.0.0.1",)) == expected


def test_where_it_listens_counts_more_than_what_it_is_set_to() -> None:
    assert traps(server(process=Process(listens=(("0.0.0.0", 11434),)))) == ["open-to-network"]
    assert traps(server({"OLLAMA_HOST": "0.0.0.0"}, process=Process(listens=(("127.0.0.1", 1),)))) == []


@pytest.mark.parametrize(
    ("holder", "hint"),
    [
        ({"pid": 5, "unit": "web.service"}, "if that one is not wanted: `sudo systemctl disable --now web.service`"),
        ({"pid": 1}, "a socket unit holds it: systemctl list-sockets names it"),
        ({"pid": 5, "unit": "session-1.scope"}, "if that program is not wanted: `sudo kill 5`"),
        ({}, "see who it is: sudo ss -ltnp 'sport = :11434'"),
    ],
)
def test_what_to_do_about_the_holder_of_a_port(holder: dict[str, Any], hint: str) -> None:
    taken = only(server(holder=PortHolder(address="127.0.0.1", port=11434, **holder)))

    assert (str(taken.trap), taken.mend.hint.partition(";")[0]) == ("port-taken", hint)


def test_two_that_want_one_address_are_told_once_and_not_where_one_has_it() -> None:
    one = server(state=DOWN, process=NOTHING)
    other = server(state=replace(DOWN, name="z.service"), process=NOTHING, home="/z")

    assert only(one, other).unit == "z.service"
    holder = PortHolder(address="127.0.0.1", port=11434, pid=3, unit="ollama.service")
    assert traps(one, replace(other, holder=holder)) == ["port-taken"]
    elsewhere = server({"OLLAMA_HOST": "127.0.0.1:11435"}, unit="z.service")
    assert traps(one, elsewhere) == []


@pytest.mark.parametrize(
    ("variables", "leak"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0"}, True),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, True),
        ({"GPU_DEVICE_ORDINAL": "0", "OLLAMA_VULKAN": "1"}, True),
        ({"CUDA_VISIBLE_DEVICES": "0", "OLLAMA_VULKAN": "0"}, False),
        ({"CUDA_VISIBLE_DEVICES": "0", "GGML_VK_VISIBLE_DEVICES": "1"}, False),
        ({"CUDA_VISIBLE_DEVICES": "-1", "ROCR_VISIBLE_DEVICES": "-1", "OLLAMA_VULKAN": "1"}, False),
        ({}, False),
    ],
)
def test_pins_and_vulkan(variables: dict[str, str], leak: bool) -> None:
    assert traps(server(variables)) == (["vulkan-leak"] if leak else [])
    incomplete = replace(server(variables).environment, complete=False)
    assert leak == bool(traps(server(environment=incomplete))) or "OLLAMA_VULKAN" not in variables


PINNED = {"OLLAMA_VULKAN": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@pytest.mark.parametrize(
    ("pin", "cards", "context"),
    [
        ({}, (H100, RTX), "96 GiB together: Ollama takes 262144"),
        ({"CUDA_VISIBLE_DEVICES": "1"}, (H100, RTX), "16 GiB together: Ollama takes 4096"),
        ({"CUDA_VISIBLE_DEVICES": "GPU-9221"}, (H100, RTX, MI100), "80 GiB together: Ollama takes 262144"),
        ({"ROCR_VISIBLE_DEVICES": "0"}, (MI100,), "32 GiB together: Ollama takes 32768"),
        ({}, (replace(H100, memory=None),), "1 of the cards of this host are left to it"),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, (H100,), None),
        ({}, (), None),
    ],
)
def test_the_context_that_the_cards_decide(pin: dict[str, str], cards: tuple[Gpu, ...], context: str | None) -> None:
    findings = found(server({**PINNED, **pin, "OLLAMA_CONTEXT_LENGTH": None}), cards=cards, nodes=(UVM,))

    assert [str(f.trap) for f in findings] == (["context-by-vram"] if context else [])
    assert all(context in f.evidence[1] for f in findings if context)


@pytest.mark.parametrize(
    ("pin", "cards", "expected"),
    [
        ("0", (H100, RTX), ["pin-by-index"]),
        ("0", (H100, replace(RTX, name="H100")), []),
        ("0", (H100,), []),
        ("GPU-9221d5d1", (H100, RTX), []),
        ("2", (H100,), ["pin-to-nothing"]),
        ("GPU-beef", (H100,), ["pin-to-nothing"]),
        ("GPU-beef", (H100, replace(RTX, uuid="")), []),
        ("MIG-beef", (H100,), []),
        ("-1", (H100,), []),
    ],
)
def test_pins(pin: str, cards: tuple[Gpu, ...], expected: list[str]) -> None:
    assert traps(server({"OLLAMA_VULKAN": "0", "CUDA_VISIBLE_DEVICES": pin}), cards=cards, nodes=(UVM,)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"uid": 7}, ["card-closed"]),
        ({"uid": 7, "gids": (44,)}, []),
        ({"uid": None, "gids": (44,)}, []),
        ({"uid": 0}, []),
        ({"settings": {"private_devices": True}}, ["card-hidden"]),
        ({"settings": {"device_policy": "closed", "devices": ("/dev/null",)}}, ["card-hidden"]),
        ({"settings": {"device_policy": "closed", "devices": ("char-drm",)}}, []),
    ],
)
def test_what_keeps_a_server_from_its_card(changes: dict[str, Any], expected: list[str]) -> None:
    assert traps(server(PINNED, **changes), cards=(MI100,), nodes=(KFD,)) == expected


def test_a_node_that_no_group_may_use_and_a_user_s_own_server() -> None:
    roots = Node(path="/dev/kfd", uid=0, gid=0, mode=0o600, group="root")

    assert "a udev rule" in only(server(PINNED, uid=7), cards=(MI100,), nodes=(roots,)).mend.hint
    hint = only(server(PINNED, uid=7, user_manager=True), cards=(MI100,), nodes=(KFD,)).mend.hint
    assert hint == "`sudo usermod -aG render $USER`, then log in again"


def test_a_driver_s_problem_is_of_no_interest_where_all_servers_compute_on_the_cpu() -> None:
    problem = Problem(message="no driver", hint="load it", path="/sys/x", severity=Severity.WARNING)

    assert only(card_problems=(problem,)).mend.hint == "load it"
    assert traps(server({"CUDA_VISIBLE_DEVICES": "-1", "OLLAMA_VULKAN": "0"}), card_problems=(problem,)) == []


def test_stores_that_are_shared_twice_there_or_served_by_nobody() -> None:
    here, there = Store(path=STORE, models={"a": "1", "b": "2"}), Store(path="/x y", models={"a": "1"})
    one, other = server(), server({"OLLAMA_HOST": "127.0.0.1:1", "OLLAMA_NOPRUNE": None}, unit="z.service")

    assert only(one, other).message.startswith("each start of it may delete what ollama.service is pulling")
    assert only(one, stores=(here, there)).mend.hint == f"{STORE} has all of them, so: `sudo rm -r '/x y'`"
    new = replace(there, models={"a": "3"})
    assert f"`sudo cp -an '/x y'/. {STORE}/`" in only(one, stores=(here, new)).mend.hint
    apart = replace(other, models=place("/x y"))
    assert only(one, apart, stores=(here, there)).evidence == ("/x y", STORE)
    assert traps(one, apart, stores=(here, new)) == []
    assert traps(stores=(here, there)) == []


@pytest.mark.parametrize(
    ("settings", "models", "expected"),
    [
        ({"protect_home": "yes"}, "/home/a/models", ["store-hidden"]),
        ({"protect_home": "tmpfs"}, "/root/models", ["store-hidden"]),
        ({"protect_home": "read-only"}, "/home/a/models", []),
        ({"protect_home": "yes", "binds": ("/home/a",)}, "/home/a/models", []),
        ({"protect_home": "yes", "binds": ("/home/a/models/blobs",)}, "/home/a/models", []),
        ({"protect_home": "yes", "private_tmp": True}, "/srv/models", []),
        ({"private_tmp": True}, "/var/tmp/models", ["store-hidden"]),
    ],
)
def test_stores_that_units_hide(settings: dict[str, Any], models: str, expected: list[str]) -> None:
    assert traps(server(settings=settings, models=place(models))) == expected


@pytest.mark.parametrize(
    ("mode", "uid", "gids", "acl", "open_"),
    [
        (0o700, 0, (), False, True),
        (0o700, 1, (), False, True),
        (0o070, 1, (2,), False, False),
        (0o070, 3, (2,), False, True),
        (0o007, 3, (2,), False, False),
        (0o007, 3, (), False, True),
        (0o700, 3, (), True, True),
    ],
)
def test_rights(mode: int, uid: int, gids: tuple[int, ...], acl: bool, open_: bool) -> None:
    node = Node(path="/x", uid=1, gid=2, mode=mode, acl=acl)

    assert rights.may(node, server(uid=uid, gids=gids), rights.READ | rights.WRITE) is open_
