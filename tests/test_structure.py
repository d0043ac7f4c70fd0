"""How the program is built, as rules that stay true: what is pure, which door leads out."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PACKAGE = CHECKOUT / "ollamactl"

DOCTOR = "cards environ finding host judge listening mend program rights server stores supervision tell variables"
"""Its pure modules: what it judges by; `beside`, `gather`, `places` and `services` read the host."""

SPEC = (
    "checks declared depchecks derived gatechecks modelchecks restartcheck schema schemahints specaddress "
    "specfile specmodel specplace spectext specvalue starter suggest varchecks violations yamlerrors yamlnodes "
    "yamltree"
)
UNITS = (
    "budgetchecks cardbudget cardchecks changes dropin envconfig envfile environment gateunits healunits identity "
    "ollama_env pins record render secretfile serverenv unitfile vram"
)
PLANNING = (
    "dependents disksteps displace doors heed lost missing onlycheck plan precheck reconcile replacement undo whose"
)


def below(package: str, names: str) -> Iterator[str]:
    return (f"{package}.{name}" for name in names.split())


PURE = {
    "adoption",
    *below("adoption", "adopted directives entry settings variables write"),
    "chronicle",
    "doctor",
    *below("doctor", DOCTOR),
    "errors",
    *below("exporting", "litellm nginx openwebui prometheus server"),
    "exporting",
    "facts",
    "files",
    "gate",
    *below("gate", "body budget config counts decide forward hostcheck limits message record uses"),
    "generation",
    "gguf",
    "healing",
    "inventory",
    "manifest",
    *below("healing", "judge metrics signs tell"),
    "model",
    "modelname",
    "observed",
    "outcome",
    "planning",
    *below("planning", PLANNING),
    "protocols",
    "pruning",
    "pruning.choice",
    "pruning.tell",
    "proving",
    *below("proving", "judge lastwords proof"),
    "pulling",
    *below("pulling", "choice meter modelfile moment offer unit"),
    "quantity",
    "report",
    "result",
    "room",
    "spec",
    *below("spec", SPEC),
    "units",
    *below("units", UNITS),
}
"""Values in, values out: no file, clock, process, socket or environment."""

EDGE = {
    "access",
    "adoption.gather",
    "clearing",
    "doctor.beside",
    "doctor.gather",
    "doctor.places",
    "doctor.services",
    "drain",
    *below("gate", "admission asking backend broker brokered client clock control descriptors dialing door"),
    *below("gate", "exchange gate kernel leaving measured memory poll server stopping tenant told waking"),
    "healing.memory",
    "healing.pulse",
    "history",
    "host",
    "host.accounts",
    "host.addresses",
    "host.atomic",
    "host.binary",
    "host.dbuswire",
    "host.discover",
    "host.doors",
    "host.envfiles",
    "host.gguf",
    "host.gatestate",
    "host.gpus",
    "host.inflight",
    "host.jobs",
    "host.journal",
    "host.journalwriter",
    "host.listeners",
    "host.loading",
    "host.lock",
    "host.managererrors",
    "host.netns",
    "host.observe",
    "host.oserrors",
    "host.overrides",
    "host.preloading",
    "host.privatebus",
    "host.processes",
    "host.program",
    "host.reach",
    "host.replaced",
    "host.rivals",
    "host.runners",
    "host.space",
    "host.store",
    "host.storecheck",
    "host.systemd",
    "host.unitdir",
    "host.unitlinks",
    "host.usermanager",
    "host.vitals",
    "interrupt",
    "pruning.folder",
    "pruning.others",
    "proving.interview",
    "proving.probe",
    "proving.verify",
    *below("pulling", "asking door folders identity layout making recipe server staging"),
    "spec.source",
}
"""What touches the host, each one side of it."""

SHELL = {
    "compiled",
    "execute",
    "gate.service",
    "heal",
    "opening",
    "operate",
    "output",
    "prune",
    "pull",
    "pulled",
    "starting",
    "status",
    "stock",
    "readiness",
    "transaction",
    "wayback",
    "workflow",
}
"""What chains the two."""

EFFECTS = {
    "asyncio", "concurrent", "datetime", "fcntl", "glob", "grp", "http", "importlib", "logging", "os", "pathlib",
    "pwd", "random", "select", "shutil", "signal", "socket", "subprocess", "sys", "tempfile", "threading", "time",
    "urllib",
}  # fmt: skip
ALLOWED = {
    ("units.render", "pathlib"): "finds its own templates",
    ("spec.schema", "importlib"): "reads its own schema",
    ("chronicle", "pathlib"): "PurePath",
    ("gate.forward", "http"): "the names of statuses",
    ("units.dropin", "pathlib"): "PurePosixPath",
}

DOORS = {
    "httpx": {"proving.probe"},
    "jinja2": {"units.render"},
    "jsonschema": {"spec.schema"},
    "pystemd": {"host.systemd"},
    "rich": {"output"},
    "yaml": {"spec.yamlnodes"},
}
"""Each library's one importer."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__") or "__init__"


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports(module: str) -> frozenset[str]:
    """Every module that it imports anywhere, lazily or for types too; ours without `ollamactl.`."""
    return frozenset(_imports(ast.parse(MODULES[module].read_text())))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            base = node.module.removeprefix("ollamactl").removeprefix(".")
            if node.module.partition(".")[0] != "ollamactl":
                yield node.module
                continue
            below = {f"{base}.{alias.name}".removeprefix(".") for alias in node.names}
            yield from below & MODULES.keys() or {base or "__init__"}


def ours(module: str) -> set[str]:
    return set(imports(module) & MODULES.keys())


def libraries(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imports(module) - MODULES.keys()}


def test_every_module_is_classified() -> None:
    rest = {name for name in MODULES if name.partition(".")[0] not in ("cli", "__init__", "__main__")}
    assert rest == PURE | EDGE | SHELL
    assert len(rest) == len(PURE) + len(EDGE) + len(SHELL), "a module is in two of them"


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_pure_module_imports_none_that_has_effects(module: str) -> None:
    assert ours(module) <= PURE | {"__init__"}
    effects = {name for name in libraries(module) & EFFECTS if (module, name) not in ALLOWED}
    assert not effects


def test_a_pure_module_that_knows_paths_knows_them_as_text_alone() -> None:
    assert "PurePosixPath" in MODULES["units.dropin"].read_text()
    assert not re.search(r"\bPath\b", MODULES["units.dropin"].read_text())


@pytest.mark.parametrize("module", sorted(EDGE))
def test_an_edge_knows_nothing_of_commands(module: str) -> None:
    assert not ours(module) & SHELL
    assert not {name for name in ours(module) if name.startswith("cli")}


@pytest.mark.parametrize("module", sorted(PURE | EDGE | SHELL))
def test_nothing_below_the_command_line_knows_it(module: str) -> None:
    assert not {name for name in ours(module) if name.startswith("cli")}
    assert "sys.exit" not in MODULES[module].read_text()


@pytest.mark.parametrize("library", sorted(DOORS))
def test_each_library_has_one_door(library: str) -> None:
    assert {module for module in MODULES if library in libraries(module)} == DOORS[library]


def test_click_stays_in_the_command_line() -> None:
    assert {module.partition(".")[0] for module in MODULES if "click" in libraries(module)} == {"cli"}


def test_only_results_and_commands_know_exit_codes() -> None:
    users = {module for module, path in MODULES.items() if re.search(r"\bExitCode\b", path.read_text())}
    assert {module for module in users if not module.startswith("cli")} == {"errors", "result"}


def test_no_module_imports_itself_by_any_way_round() -> None:
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way[way.index(module) :], module))
        if module not in done:
            for other in sorted(ours(module) - {"__init__"}):
                walk(other, (*way, module))
            done.add(module)

    for module in MODULES:
        walk(module, ())
