"""Whatever a spec's values hold: they stay the values of their own directives, and files go to their own places."""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from ollamactl.errors import SpecError
from ollamactl.facts import Facts, Manifest
from ollamactl.files import FileKind
from ollamactl.modelname import ModelName
from ollamactl.spec import specfile
from ollamactl.units.render import render
from ollamactl.units.unitfile import parse
from tests.unit.fakes import SALTS

PIECES = [
    *("\\", "\\\\", "\\n", "\\x0a", "%n", "%", "%%", "$", "${X}", '"', "'",
    " ", "\t"),
    *("#", ";", "[Service]", "[Unit]", "ExecStart=/bin/sh", "User=root", "=", ":", "..", "/", "./",
    "-", "+"),
    *("!", "@", "*", "?", "~", "a", "é", "\U0001f999", "{{ x }}", "{% raw %}", "{#", ".service", "@.service",
    "GPU-", "0"),
]  # fmt: skip
REFUSED = ["\n", "\r", "\x0b", "\x85", "\u2028", "/../", "//"]
TEXT = st.lists(st.sampled_from(PIECES * 5 + REFUSED), max_size=6).map("".join)
PATH = TEXT.map(lambda text: f"/{text}")
VALUES = {
    "description": TEXT,
    "binary": PATH,
    "environment_files": st.lists(PATH, min_size=1, max_size=2),
    "environment": st.dictionaries(st.sampled_from(["A", "B", "a b"]), TEXT, max_size=2),
    "secrets": st.dictionaries(st.sampled_from(["C", "D", "%n"]), TEXT, max_size=2),
    "origins": st.lists(TEXT | TEXT.map(lambda text: f"http://{text}"), min_size=1, max_size=2),
    "models": st.lists(TEXT | TEXT.map(lambda text: f"m{text}"), min_size=1, max_size=2),
    "after": st.lists(TEXT | TEXT.map(lambda text: f"{text}.service"), min_size=1, max_size=2),
    "requires": st.lists(TEXT.map(lambda text: f"{text}.target"), min_size=1, max_size=2),
    "gpus": st.lists(TEXT, min_size=1, max_size=1),
    "kv_cache_type": TEXT,
    "limits": st.fixed_dictionaries({"cpus": TEXT}),
}
FREE = {  # directives that hold a spec's words: there may be more of them, or fewer
    "Description", "Environment", "EnvironmentFile", "RequiresMountsFor", "After", "Requires", "Wants", "AllowedCPUs",
    "BindReadOnlyPaths", "DeviceAllow", "ExecStart", "ExecStartPre", "PrivateDevices", "ProtectHome",
    "SupplementaryGroups",
    "TemporaryFileSystem", "Instance", "Fleet",
}  # fmt: skip
PLACES = ("/etc/systemd/system/ollama", "/var/lib/ollamactl/secrets/a.env", "/var/lib/ollamactl/views/a/")
CONTROL = re.compile(r"[^\x09\x0a\x20-\x7e\xa0-\u2027\u202a-\U0010ffff]")  # systemd ends a line at CR, too
TAME = {"version": 1, "instances": {"a": {"port": 11434, "models": "m", "gpus": "none"}}}


def rendered(spec: object) -> tuple[specfile.Spec, list[tuple[str, FileKind, bytes]]]:
    found = specfile.load(json.dumps(spec).encode(), name="f")
    names = [ModelName.parse(model) for instance in found.fleet.instances for model in instance.models]
    manifests = {
        name.short: Manifest(model=name.short, path=name.manifest_path, data=b"{}", digest="0" * 64) for name in names
    }
    files = render(found.fleet, Facts(salts=SALTS, manifests=manifests))
    return found, [(file.path, file.kind, file.data) for file in files]


def fixed(data: bytes) -> Counter[tuple[str, str, str]]:
    """The directives that no value of a spec may add to or change."""
    return Counter((at.section, at.key, at.value) for at in parse(data.decode()) if at.key not in FREE)


BASE = {path: fixed(data) for path, kind, data in rendered(TAME)[1] if kind in (FileKind.TEMPLATE, FileKind.DROP_IN)}


@given(
    st.sampled_from([*VALUES]).flatmap(lambda key: st.fixed_dictionaries({key: VALUES[key]})),
    st.just({}) | st.fixed_dictionaries({"binary": PATH}) | st.fixed_dictionaries({"models": PATH}),
)
@settings(max_examples=600)
def test_no_value_leaves_its_directive(values: dict[str, object], ollama: dict[str, object]) -> None:
    instance = {"port": 11434, "models": "m", "gpus": "none", **values}
    try:
        found, files = rendered({"version": 1, "ollama": ollama, "instances": {"a": instance}})
    except SpecError:
        return
    (made,) = found.fleet.instances
    for path, _, data in files:
        assert posixpath.normpath(path) == path
        assert path.startswith(
            ("/etc/systemd/system/ollama", "/var/lib/ollamactl/secrets/a.env", "/var/lib/ollamactl/views/a/")
        )
        if path not in BASE:
            continue
        at = fixed(data)
        if "limits" in values or "gpus" in values:
            at = Counter({key: n for key, n in at.items() if key in BASE[path]})
        assert at == BASE[path]
        directives = parse(data.decode())
        started = [each.value for each in directives if each.key == "ExecStart" and each.value]
        assert all(text.startswith(("/", '"/')) and text.endswith(" serve") for text in started)
        assert len([each for each in directives if each.key == "Description"]) <= 1
        told = [each for each in directives if each.key == "EnvironmentFile"]
        assert len(told) <= len(made.environment_files) + bool(made.secrets)
        assert all("\n" not in each.value for each in directives)
