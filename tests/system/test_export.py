"""What other programs are told of a fleet, read by these programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import web
from tests.lab.container import Container
from tests.system.fleethost import FleetHost

WEB = "/opt/web"
FLEET = """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {gpus: none}
    instances:
      one: {port: 11434, models: [llama3], aliases: {gpt-4o: llama3}}
      two-b: {port: 11435, host: "::", allow: [any], models: [mistral]}
      idle: {port: 11436, models: [qwen], state: stopped}
"""


@pytest.fixture(scope="module")
def fleet() -> Iterator[FleetHost]:
    with Container.boot("bookworm", store=True, binds={WEB: web.tools().ensure()}) as machine:
        host = FleetHost(machine)
        host.applied(FLEET)
        yield host


def exported(fleet: FleetHost, program: str) -> str:
    text: str = fleet.json("export", program).envelope["data"]["text"]
    assert fleet.machine.ollamactl("export", program, "/etc/ollamactl/fleet.yaml").stdout == text
    return text


def loaded(fleet: FleetHost, program: str) -> Any:
    fleet.machine.write("/srv/exported.yaml", exported(fleet, program))
    read = "import json, yaml; print(json.dumps(yaml.safe_load(open('/srv/exported.yaml'))))"
    return json.loads(fleet.machine.run(["python3", "-c", read]).stdout)


def status(fleet: FleetHost, url: str, host: str = "localhost") -> str:
    asked = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Host: {host}", url]
    return fleet.machine.run(asked).stdout


def test_nginx_reads_its_site_and_passes_each_server_on(fleet: FleetHost) -> None:
    machine = fleet.machine
    machine.write("/srv/site.conf", exported(fleet, "nginx"))
    machine.write("/srv/nginx.conf", "pid /run/nginx.pid; events {} http { access_log off; include /srv/site.conf; }\n")
    machine.run("mkdir -p /var/log/nginx /var/lib/nginx && useradd -r www-data 2>/dev/null || true")
    checked = machine.run([f"{WEB}/usr/sbin/nginx", "-t", "-c", "/srv/nginx.conf"])
    assert ("syntax is ok" in checked.stderr, "warn" in checked.stderr) == (True, False)

    machine.run(f"{WEB}/usr/sbin/nginx -c /srv/nginx.conf >/dev/null 2>&1")  # it stays, and would keep a pipe open

    for name, model in (("one", "llama3:latest"), ("one", "gpt-4o:latest"), ("two-b", "mistral:latest")):
        assert model in machine.run(["curl", "-sS", f"http://localhost:11400/{name}/api/tags"]).stdout
    assert status(fleet, "http://127.0.0.1:11400/one/api/version", "evil.example") == "421"
    assert status(fleet, "http://127.0.0.1:11400/idle/api/version") == "404"


def test_promtool_finds_nothing_wrong_with_its_scrape_config(fleet: FleetHost) -> None:
    fleet.machine.write("/srv/prometheus.yml", exported(fleet, "prometheus"))

    checked = fleet.machine.run(f"{WEB}/usr/bin/promtool check config --lint=all --lint-fatal /srv/prometheus.yml")

    assert "SUCCESS" in checked.stdout
    (job,) = loaded(fleet, "prometheus")["scrape_configs"]
    assert {row["labels"]["instance"]: row["targets"] for row in job["static_configs"]} == {
        "one": ["http://127.0.0.1:11434/api/version"],
        "two-b": ["http://[::1]:11435/api/version"],
    }


def test_a_shell_reads_the_addresses_that_open_webui_reads(fleet: FleetHost) -> None:
    fleet.machine.write("/srv/webui.env", exported(fleet, "openwebui"))

    read = fleet.machine.run("grep -v '^#' /srv/webui.env").stdout.splitlines()

    assert read == ["ENABLE_OLLAMA_API=true", "OLLAMA_BASE_URLS=http://127.0.0.1:11434;http://[::1]:11435"]
    for url in read[1].partition("=")[2].split(";"):
        assert status(fleet, f"{url}/api/version") == "200"
    assert "a container reaches what listens on 127.0.0.1" in fleet.json("export", "openwebui").notes[0]


def test_litellm_has_a_row_for_each_model_of_each_server(fleet: FleetHost) -> None:
    rows = loaded(fleet, "litellm")["model_list"]

    assert [(row["model_name"], row["litellm_params"]["model"], row["litellm_params"]["api_base"]) for row in rows] == [
        ("llama3", "ollama_chat/llama3:latest", "http://127.0.0.1:11434"),
        ("gpt-4o", "ollama_chat/gpt-4o:latest", "http://127.0.0.1:11434"),
        ("mistral", "ollama_chat/mistral:latest", "http://[::1]:11435"),
    ]
