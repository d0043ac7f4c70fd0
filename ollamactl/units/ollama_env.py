"""The environment variables that Ollama 0.34 reads, and the spec key that stands for each.

From envconfig/config.go (AsMap) and discover/ in Ollama; what only its desktop app or its tests read is left out.
"""

from dataclasses import dataclass

from ollamactl.units import envconfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One variable: how Ollama reads it and who sets it."""

    name: str
    boolean: bool = False
    """Read with strconv.ParseBool, where what cannot be parsed counts as true: only 0 and 1 are safe."""
    key: str = ""
    """The spec key that sets it, or empty."""
    always: bool = False
    """It stands in every unit, so that `environment` may not name it; otherwise only where its key is given."""


def _variables() -> dict[str, Variable]:
    rows = [
        Variable(name="OLLAMA_HOST", key="host", always=True),
        Variable(name="OLLAMA_MODELS", key="ollama.models", always=True),
        Variable(name="OLLAMA_KEEP_ALIVE", key="keep_alive", always=True),
        Variable(name="OLLAMA_CONTEXT_LENGTH", key="context_length", always=True),
        Variable(name="OLLAMA_NUM_PARALLEL", key="parallel", always=True),
        Variable(name="OLLAMA_MAX_LOADED_MODELS", key="max_loaded_models", always=True),
        Variable(name="OLLAMA_NOPRUNE", boolean=True, key="store", always=True),
        Variable(name="OLLAMA_NO_CLOUD", boolean=True, key="egress", always=True),
        Variable(name="OLLAMA_VULKAN", boolean=True, key="backend", always=True),
        Variable(name="OLLAMA_LLM_LIBRARY", key="backend"),
        Variable(name="OLLAMA_MAX_QUEUE", key="max_queue"),
        Variable(name="OLLAMA_LOAD_TIMEOUT", key="load_timeout"),
        Variable(name="OLLAMA_FLASH_ATTENTION", boolean=True, key="flash_attention"),
        Variable(name="OLLAMA_KV_CACHE_TYPE", key="kv_cache_type"),
        Variable(name="OLLAMA_SCHED_SPREAD", boolean=True, key="spread"),
        Variable(name="OLLAMA_GPU_OVERHEAD", key="vram_reserve"),
        Variable(name="LLAMA_ARG_FIT_TARGET", key="vram_reserve"),
        Variable(name="OLLAMA_ORIGINS", key="origins"),
        Variable(name="OLLAMA_DEBUG"),
        Variable(name="OLLAMA_DEBUG_LOG_REQUESTS", boolean=True),
        Variable(name="OLLAMA_GO_TEMPLATE", boolean=True),
        Variable(name="OLLAMA_IGPU_ENABLE", boolean=True),
        Variable(name="OLLAMA_AUTH", boolean=True),
        Variable(name="OLLAMA_NOHISTORY", boolean=True),
        Variable(name="OLLAMA_MAX_TRANSFER_STREAMS"),
        Variable(name="OLLAMA_REMOTES"),
        Variable(name="OLLAMA_EDITOR"),
        Variable(name="OLLAMA_API_KEY"),
        Variable(name="OLLAMA_CLOUD_BASE_URL"),
        Variable(name="OLLAMA_EXPERIMENT"),
        Variable(name="OLLAMA_LIBRARY_PATH"),
        Variable(name="OLLAMA_LLAMA_CPP_COMPAT"),
        Variable(name="LLAMA_ARG_FIT"),
        Variable(name="CUDA_VISIBLE_DEVICES", key="gpus", always=True),
        Variable(name="CUDA_DEVICE_ORDER", key="gpus", always=True),
        Variable(name="HIP_VISIBLE_DEVICES", key="gpus", always=True),
        Variable(name="ROCR_VISIBLE_DEVICES", key="gpus", always=True),
        Variable(name="GGML_VK_VISIBLE_DEVICES", key="gpus", always=True),
        Variable(name="GPU_DEVICE_ORDINAL", key="gpus", always=True),
        Variable(name="HSA_OVERRIDE_GFX_VERSION"),
        Variable(name="HTTP_PROXY"),
        Variable(name="HTTPS_PROXY"),
        Variable(name="NO_PROXY"),
    ]
    return {row.name: row for row in rows}


VARIABLES = _variables()
"""By name."""

RESERVED = (
    "HOME",
    "STATE_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "MAINPID",
    "OLLAMACTL_CONFIG",
    "OLLAMACTL_SECRETS",
)
"""What ollamactl or systemd sets itself (systemd.exec(5), "Environment variables in spawned processes")."""

KNOWN = tuple(name for name in VARIABLES if name.startswith("OLLAMA_"))
"""Every OLLAMA_* variable that does something."""


def normalise(name: str, value: str) -> str:
    """The value to hand to Ollama: `1` or `0` for a boolean, everything else as it is.

    Raises ValueError for a boolean that Go's strconv.ParseBool cannot read: Ollama would take it for true.
    """
    variable = VARIABLES.get(name)
    if not variable or not variable.boolean or not value:
        return value
    if value in envconfig.TRUE:
        return "1"
    if value in envconfig.FALSE:
        return "0"
    raise ValueError(f"{name} is a switch, and Ollama would take this value for true: write 0 or 1")


def spec_key(word: str) -> str:
    """The spec key for a word that names a variable of Ollama's: `num_parallel` is `parallel`."""
    upper = word.upper()
    variable = VARIABLES.get(upper) or VARIABLES.get(f"OLLAMA_{upper}")
    return variable.key if variable else ""
