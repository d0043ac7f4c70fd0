"""The units as the running manager reads them: every key of the spec, with nothing for systemd to complain about."""

from __future__ import annotations

import pytest

from tests.lab.container import Container
from tests.system.fleethost import FleetHost, unit
from tests.system.inside import attempt, fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("units")]

PROXY = "/etc/ollama/proxy.env"


def prepare(machine: Container) -> None:
    """An operator's own file of variables; it wins."""
    machine.write(PROXY, "HTTPS_PROXY=http://10.0.0.1:3128\nOLLAMA_DEBUG=2\n")


fleet = fleet_of(
    """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {gpus: none}
    instances:
      every:
        port: 11501
        host: 127.0.0.1
        models: [llama3, "acme/coder:7b"]
        store: isolated
        egress: closed
        network: host
        hardening: strict
        backend: cpu
        origins: ["https://chat.example", "chrome-extension://*"]
        binary: /usr/local/bin/ollama-standin
        keep_alive: forever
        context_length: 4096
        parallel: 2
        max_loaded_models: 3
        max_queue: 9
        load_timeout: 10m
        flash_attention: on
        kv_cache_type: q8_0
        spread: true
        vram_reserve: 1G
        environment: {OLLAMA_DEBUG: 1, FOO: bar}
        secrets: {TOKEN: s3cret}
        environment_files: /etc/ollama/proxy.env
        description: '50 % of \\ all "$x"'
        enabled: true
        state: running
        after: [bare, network-online.target]
        requires: bare
        restart: {policy: always, delay: 500ms, max_delay: 20s, tries: 7, within: 10m}
        limits:
          {memory_high: 1G, memory_max: 2G, cpu_quota: 150%, cpus: "0-1", nice: 5, io_weight: 50, tasks_max: 512,
           nofile: 8192, oom_score_adjust: 300}
      bare: {port: 11502, models: mistral, context_length: auto, restart: {policy: never}, keep_alive: 0}
      usual: {port: 11503, models: qwen}
    """,
    before=prepare,
)
ALL = ["every", "bare", "usual"]
PORTS = [("every", 11501), ("usual", 11503)]


def newer(fleet: FleetHost) -> bool:
    """Whether the manager knows growing waits (systemd 254 and later)."""
    return int(fleet.machine.run("systemctl --version").stdout.split()[1]) >= 254


def test_systemd_has_nothing_to_say_of_what_is_installed(fleet: FleetHost) -> None:
    units = [*map(unit, ALL), "ollama-fleet.target"]

    said = fleet.machine.run(["systemd-analyze", "verify", *units], check=False)

    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    journal = fleet.machine.run("journalctl --boot --no-pager --output=cat _PID=1").stdout.splitlines()
    complaints = ("unknown", "ignoring", "failed to parse", "invalid", "deprecated")
    of_ours = [line for line in journal if "ollama@" in line and "pids.max" not in line]
    assert [line for line in of_ours if any(word in line.lower() for word in complaints)] == []


def test_the_manager_reads_what_the_spec_says(fleet: FleetHost) -> None:
    wanted = {
        "Description": '50 % of \\ all "$x"',
        "Restart": "always",
        "RestartUSec": "500ms",
        "StartLimitIntervalUSec": "10min",
        "StartLimitBurst": "7",
        "MemoryHigh": str(1 << 30),
        "MemoryMax": str(2 << 30),
        "CPUQuotaPerSecUSec": "1.500000s",
        "AllowedCPUs": "0-1",
        "IOWeight": "50",
        "TasksMax": "512",
        "LimitNOFILE": "8192",
        "Nice": "5",
        "OOMScoreAdjust": "300",
        "PartOf": "ollama-fleet.target",
        "UnitFileState": "enabled",
    }
    if newer(fleet):
        wanted |= {"RestartSteps": "6", "RestartMaxDelayUSec": "20s"}

    assert fleet.show("every", *wanted) == wanted
    order = fleet.show("every", "After", "Requires")
    assert {unit("bare"), "network-online.target"} <= set(order["After"].split())
    assert unit("bare") in order["Requires"].split()


def test_the_kernel_has_the_limits_that_it_can_have_here(fleet: FleetHost) -> None:
    pid = fleet.pid("every")
    limits = fleet.machine.read(f"/proc/{pid}/limits").splitlines()

    assert next(line.split()[3:5] for line in limits if line.startswith("Max open files")) == ["8192", "8192"]
    assert fleet.machine.read(f"/proc/{pid}/oom_score_adj") == "300\n"
    assert fleet.machine.run(["ps", "-o", "ni=", "-p", str(pid)]).stdout.strip() == "5"


def test_a_server_with_a_memory_limit_sees_its_own_cgroup_where_ollama_looks_for_it(fleet: FleetHost) -> None:
    members = {
        name: attempt(fleet, port, "read", path="/sys/fs/cgroup/cgroup.procs").data.split() for name, port in PORTS
    }

    assert members["every"] == [str(fleet.pid("every"))]
    assert str(fleet.pid("usual")) not in members["usual"]


def test_the_restart_policy_is_the_specs_or_the_default(fleet: FleetHost) -> None:
    assert fleet.show("bare", "Restart") == {"Restart": "no"}
    usual = {"Restart": "on-failure", "RestartUSec": "3s", "StartLimitBurst": "5", "StartLimitIntervalUSec": "5min"}
    if newer(fleet):
        usual |= {"RestartSteps": "5", "RestartMaxDelayUSec": "1min"}
    assert fleet.show("usual", *usual) == usual


OF_SYSTEMD = {
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LANG",
    "LOGNAME",
    "PATH",
    "STATE_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "USER",
}
ALWAYS = {
    "OLLAMA_MODELS": "/var/lib/ollama/models",
    "OLLAMA_NOPRUNE": "1",
    "OLLAMA_NO_CLOUD": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
    "ROCR_VISIBLE_DEVICES": "-1",
    "OLLAMA_VULKAN": "0",
}


def given(fleet: FleetHost, port: int) -> dict[str, str]:
    """What the server's process has that is not systemd's own or ollamactl's mark."""
    ours = fleet.environ(port)
    passed_by = ("OLLAMACTL_", "MEMORY_PRESSURE_", "CPU_PRESSURE_", "IO_PRESSURE_")
    return {k: v for k, v in ours.items() if k not in OF_SYSTEMD and not k.startswith(passed_by)}


def test_the_server_has_everything_that_the_spec_says_and_nothing_else(fleet: FleetHost) -> None:
    assert given(fleet, 11501) == {
        **ALWAYS,
        "HOME": "/var/lib/ollamactl-instances/every",
        "OLLAMA_HOST": "127.0.0.1:11501",
        "OLLAMA_ORIGINS": "https://chat.example,chrome-extension://*",
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_CONTEXT_LENGTH": "4096",
        "OLLAMA_NUM_PARALLEL": "2",
        "OLLAMA_MAX_LOADED_MODELS": "3",
        "OLLAMA_MAX_QUEUE": "9",
        "OLLAMA_LOAD_TIMEOUT": "10m",
        "OLLAMA_FLASH_ATTENTION": "1",
        "OLLAMA_KV_CACHE_TYPE": "q8_0",
        "OLLAMA_SCHED_SPREAD": "1",
        "LLAMA_ARG_FIT_TARGET": "1024",
        "OLLAMA_DEBUG": "2",
        "FOO": "bar",
        "TOKEN": "s3cret",
        "HTTPS_PROXY": "http://10.0.0.1:3128",
    }


def test_what_the_spec_leaves_out_is_set_where_the_default_is_a_trap(fleet: FleetHost) -> None:
    assert given(fleet, 11503) == {
        **ALWAYS,
        "HOME": "/var/lib/ollamactl-instances/usual",
        "OLLAMA_HOST": "127.0.0.1:11503",
        "OLLAMA_KEEP_ALIVE": "5m",
        "OLLAMA_CONTEXT_LENGTH": "8192",
        "OLLAMA_NUM_PARALLEL": "1",
        "OLLAMA_MAX_LOADED_MODELS": "1",
    }
    assert "OLLAMA_CONTEXT_LENGTH" not in given(fleet, 11502)
