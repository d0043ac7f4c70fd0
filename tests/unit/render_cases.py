"""Fleets on hosts, for the golden files in tests/cases/render; each case turns on what the others leave out."""

from ollamactl.facts import Facts, Gpu, Layout, Manifest, Vendor
from ollamactl.model import (
    ALWAYS_ON,
    Backend,
    Egress,
    Fleet,
    Hardening,
    Health,
    Instance,
    Limits,
    OnDemand,
    Restart,
    RestartPolicy,
    State,
    Store,
    Toggle,
)
from tests.unit.fakes import SALTS

NVIDIA = tuple(
    Gpu(vendor=Vendor.NVIDIA, index=index, pci=f"0000:{bus}:00.0", uuid=f"GPU-{uuid}", name="RTX 4090", minor=1 - index)
    for index, (bus, uuid) in enumerate((("01", "5c1a0f6e"), ("41", "77b0d2c4")))
)
AMD = Gpu(vendor=Vendor.AMD, index=0, pci="0000:81:00.0", uuid="GPU-1f3c5a7b9d2e4f60", nodes=("226:1", "226:129"))
MODELS = {
    name: Manifest(model=name, path=path, data=b'{"schemaVersion":2,"model":"%s"}' % name.encode(), digest=digit * 64)
    for name, path, digit in (
        ("llama3:latest", "registry.ollama.ai/library/llama3/latest", "a"),
        ("mistral:7b", "registry.ollama.ai/library/mistral/7b", "b"),
        ("reg.example:5000/team/coder:1", "reg.example:5000/team/coder/1", "c"),
    )
}
GROUPS = ("render", "video")

CASES: dict[str, tuple[Fleet, Facts]] = {
    "defaults": (
        Fleet(instances=(Instance(name="llama3", port=11434, models=("llama3",)),)),
        Facts(manifests=MODELS),
    ),
    "pins": (
        Fleet(
            instances=(
                Instance(name="llama3", port=11434, models=("llama3",), gpus=("GPU-5c1a0f6e",)),
                Instance(name="both", port=11435, models=("llama3", "mistral:7b"), gpus=("0", "1"), spread=True),
                Instance(name="cpu", port=11436, models=("llama3",), gpus=()),
                Instance(name="radeon", port=11437, models=("llama3",), gpus=("81:00.0",)),
                Instance(name="vulkan", port=11438, models=("llama3",), gpus=("2",), backend=Backend.VULKAN),
                Instance(name="off", port=11439, models=("llama3",), gpus=("1",), hardening=Hardening.OFF),
                Instance(name="any", port=11440, models=("llama3",)),
            ),
        ),
        Facts(systemd=257, gpus=(*NVIDIA, AMD), groups=GROUPS, manifests=MODELS),
    ),
    "offline": (
        Fleet(
            instances=(
                Instance(name="index", port=11434, models=("llama3",), gpus=("0",)),
                Instance(name="amd", port=11435, models=("llama3",), gpus=("0",), backend=Backend.ROCM),
                Instance(name="any", port=11436, models=("llama3",)),
            ),
        ),
        Facts(gpus=None),
    ),
    "network": (
        Fleet(
            instances=(
                Instance(name="wild4", port=1, host="0.0.0.0", models=("llama3",), allow=("10.0.0.0/8",)),
                Instance(name="wild6", port=2, host="::", models=("llama3",), allow=("10.0.0.0/8", "fd00::/8")),
                Instance(name="lan", port=3, host="192.168.1.5", models=("llama3",), allow=("192.168.1.0/24",)),
                Instance(name="everybody", port=4, host="0.0.0.0", models=("llama3",), allow=("any",)),
                Instance(name="open", port=5, models=("llama3",), egress=Egress.OPEN),
            ),
        ),
        Facts(addresses=("192.168.1.5", "2001:db8::5"), manifests=MODELS),
    ),
    "gate": (
        Fleet(
            instances=(
                Instance(name="llama3", port=11434, models=("llama3:latest",), on_demand=OnDemand()),
                Instance(
                    name="embed",
                    port=11435,
                    host="0.0.0.0",
                    models=("mistral:7b",),
                    aliases=(("gpt-4o:latest", "mistral:7b"),),
                    allow=("10.0.0.0/8",),
                    on_demand=OnDemand(stop_after=60, unload_after=30, max_wait=10),
                ),
                Instance(
                    name="lan",
                    port=11436,
                    host="192.168.1.5",
                    models=("llama3:latest",),
                    allow=("any",),
                    on_demand=ALWAYS_ON,
                ),
                Instance(name="open", port=11437, models=("llama3:latest",)),
            ),
        ),
        Facts(manifests=MODELS, program="/usr/bin/ollamactl"),
    ),
    "every-key": (
        Fleet(
            binary="/usr/bin/ollama",
            models_dir="/srv/ai models/100%",
            instances=(
                Instance(
                    name="Coder.v2",
                    port=11434,
                    models=("reg.example:5000/team/coder:1", "not-pulled-yet"),
                    digests=(("reg.example:5000/team/coder:1", "c" * 64),),
                    preload=("reg.example:5000/team/coder:1",),
                    aliases=(("gpt-4o:latest", "reg.example:5000/team/coder:1"), ("nobody:1", "not-pulled-yet")),
                    description='Chat "for" 100% of us \\',
                    binary="/opt/ollama-0.34/bin/ollama",
                    origins=("chrome-extension://*", "http://10.0.0.2"),
                    keep_alive=float("inf"),
                    context_length=None,
                    parallel=4,
                    max_loaded_models=1,
                    max_queue=64,
                    load_timeout=600,
                    flash_attention=Toggle.ON,
                    kv_cache_type="q8_0",
                    vram_reserve=2 << 30,
                    environment=(("GREETING", ' $HOME "é"\t50% \\ '), ("HTTPS_PROXY", "http://proxy:3128")),
                    secrets=(("TOKEN", 's3cret $`"\\ '),),
                    environment_files=("/etc/default/coder 100%",),
                    after=("postgresql.service",),
                    requires=("ollama@embed.service",),
                    restart=Restart(policy=RestartPolicy.ALWAYS, delay=5, max_delay=300, tries=7, within=3600),
                    limits=Limits(
                        memory_high=20 << 30,
                        memory_max=24 << 30,
                        cpu_quota=250,
                        cpus="0-3,8",
                        nice=5,
                        io_weight=50,
                        tasks_max=512,
                        nofile=65536,
                        oom_score_adjust=500,
                    ),
                ),
                Instance(
                    name="embed",
                    port=11435,
                    models=("llama3",),
                    binary="/usr/bin/ollama",
                    state=State.STOPPED,
                    restart=Restart(policy=RestartPolicy.NEVER),
                ),
            ),
        ),
        Facts(systemd=254, salts=SALTS, manifests=MODELS),
    ),
    "stores": (
        Fleet(
            binary="/home/ada/ollama/bin/ollama",
            models_dir="/home/ada/.ollama/models",
            instances=tuple(
                Instance(
                    name=store.value,
                    port=11434 + n,
                    models=("llama3",),
                    store=store,
                    binary="/home/ada/ollama/bin/ollama",
                )
                for n, store in enumerate(Store)
            ),
        ),
        Facts(manifests=MODELS, store_owner="ada"),
    ),
    "hardening": (
        Fleet(
            instances=tuple(
                Instance(name=level.value, port=11434 + n, models=("llama3",), hardening=level, gpus=())
                for n, level in enumerate(Hardening)
            )
        ),
        Facts(manifests=MODELS),
    ),
    "health": (
        Fleet(
            instances=(
                Instance(name="llama3", port=11434, models=("llama3",), gpus=()),
                Instance(name="lan", port=11435, host="192.168.1.5", models=("llama3",), gpus=(), allow=("any",)),
                Instance(name="wild", port=11436, host="0.0.0.0", models=("llama3",), gpus=(), allow=("any",)),
            ),
            health=Health(every=90, failures=5),
        ),
        Facts(addresses=("192.168.1.5",), manifests=MODELS, program="/home/ada/src 100%/ollamactl.sh"),
    ),
    "user": (
        Fleet(
            health=Health(),
            models_dir="/home/ada/.ollama/models",
            instances=(
                Instance(name="llama3", port=11434, models=("llama3",), gpus=("0",), secrets=(("TOKEN", "x"),)),
                Instance(name="all", port=11435, models=("llama3",), store=Store.SHARED, hardening=Hardening.COMPAT),
                Instance(name="own", port=11436, models=("llama3",), store=Store.WRITABLE, hardening=Hardening.OFF),
            ),
        ),
        Facts(
            salts=SALTS,
            layout=Layout(
                unit_dir="/home/ada/.config/systemd/user",
                state_dir="/home/ada/.local/state/ollamactl",
                instance_state="/home/ada/.local/state/ollamactl-instances",
                user=True,
            ),
            gpus=NVIDIA,
            groups=GROUPS,
            program="/usr/bin/ollamactl",
            manifests=MODELS,
        ),
    ),
}
