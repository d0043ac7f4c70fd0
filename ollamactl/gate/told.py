"""What the gate and its broker are told: the line in the gate's unit file; read with little, for a client waits."""

from collections.abc import Mapping

from ollamactl.errors import HostError
from ollamactl.gate import config
from ollamactl.gate.config import Behind, GateConfig
from ollamactl.model import GATE_SERVICE, UNIT_DIR

UNIT_FILE = f"{UNIT_DIR}/{GATE_SERVICE}"


def configuration(unit_file: str = UNIT_FILE) -> GateConfig:
    """All of it. Raises HostError."""
    try:
        with open(unit_file, encoding="utf-8") as file:  # noqa: PTH123
            return config.parse(file.read())
    except OSError as error:
        raise HostError(f"{unit_file}: {error.strerror}") from error
    except ValueError as error:
        raise HostError(f"{unit_file}: {error}") from error


def servers(unit_file: str = UNIT_FILE) -> Mapping[str, Behind]:
    """By unit, whom the gate is before. Raises HostError."""
    return {server.unit: server for server in configuration(unit_file).servers}
