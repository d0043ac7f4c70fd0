"""Run several native Ollama servers on one Linux machine, safely."""

__version__ = "0.1.0"
