"""The command `ollamactl`, and `python3 -m ollamactl`."""

import sys


def main() -> None:
    """Runs the gate, or else the command line: a client waits for the gate, which needs nothing of what commands do."""
    if sys.argv[1:2] == ["gate"]:
        from ollamactl.gate.service import main as gate

        raise SystemExit(gate())
    if sys.argv[1:2] == ["broker"]:
        from ollamactl.gate.broker import main as broker

        raise SystemExit(broker())
    from ollamactl import cli

    cli.main()


if __name__ == "__main__":
    main()
