"""What adopt makes of a server's variables and directives, and that it is a spec."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamactl.adoption import directives, variables, write
from ollamactl.adoption.adopted import adopt, named
from ollamactl.adoption.entry import Adopted, Entry
from ollamactl.adoption.variables import Value
from ollamactl.doctor import environ
from ollamactl.doctor.environ import EnvironmentFile
from ollamactl.doctor.server import Process, Settings
from ollamactl.errors import SpecError
from ollamactl.model import RestartPolicy, Toggle
from ollamactl.spec.yamltree import unsafe
from tests.unit.adopting import DROP_IN, TEXT, UNIT, fleet_of, left, server, text_of


def test_the_official_service_becomes_an_instance_that_does_the_same() -> None:
    fleet = fleet_of(server())

    (one,) = fleet.instances
    assert (fleet.binary, fleet.models_dir) == ("/usr/local/bin/ollama", "/usr/share/ollama/.ollama/models")
    assert (one.name, one.host, one.port) == ("ollama", "127.0.0.1", 11434)
    assert one.models == ("llama3:latest", "qwen:latest")
    assert (one.context_length, one.max_loaded_models) == (None, 6), "as Ollama chose them"
    assert (one.restart.policy, one.restart.delay, one.limits.memory_max) == (RestartPolicy.ALWAYS, 3.0, 24 << 30)
    assert (one.after, one.enabled, one.description) == (("network-online.target",), True, "Ollama Service")


def test_every_value_says_where_it_comes_from() -> None:
    drop_in = '[Service]\n# mine\nEnvironment="OLLAMA_HOST=127.0.0.1:9000" \\\n  OLLAMA_DEBUG=1\n'
    file = EnvironmentFile(path="/etc/default/ollama", optional=True, text="A=1\nOLLAMA_KEEP_ALIVE = 30m\n")
    given = ("OLLAMA_HOST=127.0.0.1:9000", "OLLAMA_DEBUG=1")

    text = text_of(server(given, texts={UNIT: TEXT, DROP_IN: drop_in}, files=[file]))
    lines = [" ".join(line.split()) for line in text.splitlines()]

    assert f"port: 9000 # OLLAMA_HOST in {DROP_IN}:3" in lines
    assert f'OLLAMA_DEBUG: "1" # {DROP_IN}:3' in lines
    assert "keep_alive: 30m # OLLAMA_KEEP_ALIVE in /etc/default/ollama:2" in lines
    assert f"binary: /usr/local/bin/ollama # ExecStart= in {UNIT}:6" in lines
    assert f"delay: 3s # RestartSec= in {UNIT}:9" in lines
    assert f"memory_max: 24G # MemoryMax= in {UNIT}:11" in lines


def test_what_is_not_carried_over_is_said_with_the_reason_and_without_its_value() -> None:
    found = left(adopt(server(), (), name="a", cards=0))

    assert found.keys() == {"User=", "ProtectSystem=", "ExecStartPre="}
    assert found["User="].where == f"{UNIT}:7"
    assert "sandbox of their own" in found["ProtectSystem="].why
    assert "secret" not in text_of(server())


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("OLLAMA_HOST=0.0.0.0", "allow", ("any",)),
        ("OLLAMA_HOST=http://[::1]:12000/", "host", "::1"),
        ("OLLAMA_HOST=localhost:12000", "port", 12000),
        ("OLLAMA_KEEP_ALIVE=-1", "keep_alive", float("inf")),
        ("OLLAMA_KEEP_ALIVE=0", "keep_alive", 0.0),
        ("OLLAMA_KEEP_ALIVE=90", "keep_alive", 90.0),
        ("OLLAMA_CONTEXT_LENGTH=4096", "context_length", 4096),
        ("OLLAMA_CONTEXT_LENGTH=0", "context_length", None),
        ("OLLAMA_NUM_PARALLEL=4", "parallel", 4),
        ("OLLAMA_MAX_LOADED_MODELS=2", "max_loaded_models", 2),
        ("OLLAMA_MAX_QUEUE=8", "max_queue", 8),
        ("OLLAMA_LOAD_TIMEOUT=0", "load_timeout", float("inf")),
        ("OLLAMA_FLASH_ATTENTION=off", "flash_attention", Toggle.ON),
        ("OLLAMA_FLASH_ATTENTION=0", "flash_attention", Toggle.OFF),
        ("OLLAMA_KV_CACHE_TYPE=q8_0", "kv_cache_type", "q8_0"),
        ("OLLAMA_SCHED_SPREAD=1", "spread", True),
        ("LLAMA_ARG_FIT_TARGET=1024", "vram_reserve", 1 << 30),
        ("OLLAMA_ORIGINS=https://a.example,app://*", "origins", ("https://a.example", "app://*")),
        ("CUDA_VISIBLE_DEVICES=0,1", "gpus", ("0", "1")),
        ("CUDA_VISIBLE_DEVICES=", "gpus", ()),
        ("CUDA_VISIBLE_DEVICES=-1", "gpus", ()),
        ("ROCR_VISIBLE_DEVICES=GPU-0123456789abcdef", "gpus", ("GPU-0123456789abcdef",)),
        ("OLLAMA_LLM_LIBRARY=cpu_avx2", "gpus", ()),
        ("OLLAMA_LLM_LIBRARY=cuda_v12", "backend", "cuda"),
        ("OLLAMA_DEBUG_LOG_REQUESTS=on", "environment", (("OLLAMA_DEBUG_LOG_REQUESTS", "1"),)),
        ("LD_LIBRARY_PATH=/opt/x y", "environment", (("LD_LIBRARY_PATH", "/opt/x y"),)),
    ],
)
def test_a_variable_becomes_its_key(assignment: str, key: str, value: object) -> None:
    texts = {UNIT: f"{TEXT}[Service]\nEnvironment={assignment}\n"}
    (found,) = fleet_of(server([assignment], texts=texts)).instances

    assert getattr(found, key) == value


@pytest.mark.parametrize(
    ("assignment", "why"),
    [
        ("OLLAMA_HOST=ollama.example:1234", "is not an IP address"),
        ("OLLAMA_KEEP_ALIVE=ever", "Ollama cannot read it as a duration"),
        ("OLLAMA_NUM_PARALLEL=many", "parallel keeps its default"),
        ("OLLAMA_ORIGINS=a b", "is not a web origin"),
        ("OLLAMA_KV_CACHE_TYPE=q3", "none of Ollama's types"),
        ("CUDA_VISIBLE_DEVICES=MIG-1", "without gpus it gets every card"),
        ("OLLAMA_NOPRUNE=1", "no server of the fleet prunes"),
        ("OLLAMA_GPU_OVERHEAD=1", "vram_reserve does"),
        ("HOME=/root", "each server has its own"),
    ],
)
def test_what_no_key_can_say_is_left_with_its_reason_and_the_spec_stays_valid(assignment: str, why: str) -> None:
    texts = {UNIT: f"[Service]\nExecStart=/usr/local/bin/ollama serve\nEnvironment={assignment}\n"}
    one = server([assignment], texts=texts)

    assert fleet_of(one)
    assert why in left(adopt(one, (), name="a", cards=1))[assignment.partition("=")[0]].why


def test_a_secret_shows_only_where_it_is_asked_for() -> None:
    file = EnvironmentFile(path="/etc/ollama.env", optional=False, text="HF_TOKEN=hf_abc\nHTTPS_PROXY=http://u:pw@p/\n")
    one = server(files=[file])

    text = text_of(one)
    assert not {"hf_abc", "pw"} & set(text.replace(":", " ").replace("@", " ").split())
    assert "    #   HF_TOKEN: its value is in /etc/ollama.env:1; `ollamactl adopt --secrets` writes it\n" in text
    (found,) = fleet_of(one, secrets=True).instances
    assert dict(found.secrets) == {"HF_TOKEN": "hf_abc", "HTTPS_PROXY": "http://u:pw@p/"}
    assert fleet_of(one).instances[0].secrets == ()


def test_whom_a_fence_lets_in_is_carried_over() -> None:
    text = "[Service]\nIPAddressDeny=any\nIPAddressAllow=10.0.0.0/8 localhost\n"
    fenced = Settings(files=(UNIT,), enabled=True, argv=("/usr/local/bin/ollama", "serve"), fenced=True)
    one = server(["OLLAMA_HOST=0.0.0.0"], texts={UNIT: text}, settings=fenced)

    assert fleet_of(one).instances[0].allow == ("10.0.0.0/8", "127.0.0.0/8", "::1/128")


def test_names_come_from_units_and_for_the_official_one_from_its_only_model() -> None:
    taken: set[str] = set()
    units = ("ollama@llama3.service", "ollama-llama3.service", "ollama.service", "my.service")

    names = [named(server(unit=unit), ("acme/coder:7b",), taken) for unit in units]

    assert names == ["llama3", "llama3-2", "coder", "my"]


def test_units_of_ollamactl_s_own_names_make_room_and_come_back() -> None:
    path = "/etc/systemd/system/ollama@.service"
    one = server(unit="ollama@a.service", texts={path: TEXT})
    found = adopt(one, ("m:latest",), name="a", cards=0)

    spec = write.spec([found], [one])

    assert spec.take_over == (
        "sudo systemctl disable --now ollama@a.service", f"sudo mv {path} {path}.old", "sudo systemctl daemon-reload",
        "sudo ollamactl apply fleet.yaml",
    )  # fmt: skip
    assert "replaces" not in spec.text.partition("version: 1")[2]
    assert spec.go_back[0] == "sudo ollamactl rollback 0"
    assert spec.go_back[-1] == "sudo systemctl enable --now ollama@a.service"


def test_a_user_s_own_units_need_no_root() -> None:
    one = replace(server(), user_manager=True)

    spec = write.spec([adopt(one, (), name="a", cards=0)], [one])

    assert spec.take_over == ("ollamactl --user apply fleet.yaml",)
    assert spec.go_back == ("ollamactl --user rollback",)
    assert "\n    replaces: [ollama.service] " in spec.text
    assert "sudo" not in spec.text


@given(
    st.text(st.characters(blacklist_characters="\0"), min_size=1),
    st.sampled_from(("A", "no", "true", "MY_TOKEN")),
)
def test_any_value_comes_through_as_it_is(text: str, name: str) -> None:
    file = EnvironmentFile(path="/etc/\x1b[1m\n#: x", optional=False, text="")
    found = environ.Environment(given={name: environ.Given(text, file.path)})

    one = replace(server(files=[file]), environment=found)
    (made,) = fleet_of(one, secrets=True).instances

    carried = dict((*made.environment, *made.secrets))
    lost = unsafe(text) or any(
        letter in "\N{REPLACEMENT CHARACTER}" or letter.encode(errors="ignore") == b"" for letter in text
    )
    assert carried == ({} if lost else {name: text})
    assert (name in left(adopt(one, (), name="a", cards=0))) is bool(lost)


@given(st.text(alphabet='[]Service=Exec \\\n#;"A'))
def test_any_text_of_a_unit_is_read(text: str) -> None:
    assert fleet_of(server(texts={UNIT: text}))


def test_a_second_store_is_named_with_the_command_that_brings_its_models() -> None:
    one = adopt(server(), ("a:latest", "b:latest"), name="a", cards=0)
    other = Adopted(name="b", unit="b.service", models=("c:latest",), store="/srv/models", entries=(_port(1235),))

    spec = write.spec([one, other], [server()])

    assert [problem.hint for problem in spec.problems] == [
        "sudo cp -an /srv/models/. /usr/share/ollama/.ollama/models/"
    ]


def test_what_a_script_sets_is_taken_from_the_process() -> None:
    wrapped = Settings(files=(UNIT,), enabled=True, argv=("/bin/sh", "-c", "exec ollama serve"))
    process = Process(environment={"OLLAMA_HOST": "127.0.0.1:12345", "EDITOR": "vi"})
    one = server(settings=wrapped, process=process)

    (found,) = fleet_of(one).instances
    assert (found.port, found.environment) == (12345, ())
    assert "a script or a shell starts it" in left(adopt(one, (), name="a", cards=0))["ExecStart="].why


def test_two_servers_of_one_port_are_written_as_they_are_and_check_says_so() -> None:
    with pytest.raises(SpecError, match="is taken by"):
        fleet_of(server(), server(unit="other.service"))


def test_slow_restarts_still_end() -> None:
    slow = Settings(files=(UNIT,), argv=("/usr/local/bin/ollama", "serve"), restart="on-failure", restart_delay=600.0)
    (found,) = fleet_of(server(settings=slow)).instances

    assert (found.restart.delay, found.restart.max_delay, found.enabled) == (600.0, 600.0, False)


def test_cards_by_number_warn_where_cuda_counted_otherwise() -> None:
    given = {"CUDA_VISIBLE_DEVICES": Value(text="1", where="x")}
    rows = variables.translate(given, allow=None, cards=2, secrets=False)

    (told,) = [row.where for row in rows if isinstance(row, Entry) and row.key == "gpus"]
    assert told.startswith("CUDA_VISIBLE_DEVICES in x; CUDA counted the fastest first, ollamactl as nvidia-smi does")


def test_an_empty_value_takes_back_what_was_before() -> None:
    found = directives.read({"a": "[Unit]\nAfter=x.target\n[Service]\nExecStart=a\n", "b": "[Service]\nExecStart=\n"})

    assert [each.name for each in found] == ["After"]


def _port(number: int) -> Entry:
    return Entry(key="port", value=str(number), where="x")
