"""`python3 -m ollamactl.gate`, as ollama-gate.service runs it."""

import asyncio
import sys

from ollamactl.errors import HostError, NotPermitted
from ollamactl.gate.service import serve

try:
    asyncio.run(serve())
except (HostError, NotPermitted) as error:
    print(f"ollama-gate: {error}", file=sys.stderr)  # noqa: T201
    sys.exit(1)
