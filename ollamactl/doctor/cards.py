"""Cards: pins that do not hold, and what keeps a server from the card that it is meant to use. Pure."""

from collections.abc import Iterator, Sequence

from ollamactl.doctor import mend, rights
from ollamactl.doctor.environ import Environment
from ollamactl.doctor.finding import Finding, Mend, Trap
from ollamactl.doctor.host import Host
from ollamactl.doctor.server import Node, Server
from ollamactl.errors import Severity, listed
from ollamactl.facts import Gpu, Vendor
from ollamactl.units import envconfig

_CUDA = "CUDA_VISIBLE_DEVICES"
_PINS = {
    Vendor.NVIDIA: (_CUDA,),
    Vendor.AMD: ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", _CUDA),
}
"""ROCm reads CUDA's variable too."""
_CLASSES = {
    Vendor.NVIDIA: (("/dev/nvidia", "/dev/char/195", "char-nvidia"), ("char-nvidia*",)),
    Vendor.AMD: (("/dev/kfd", "/dev/dri", "/dev/char/226", "char-kfd", "char-drm"), ("char-kfd", "char-drm")),
}
"""How DeviceAllow= begins that lets a card through, and what to write there."""
_TIERS = ((47 << 30, 262144), (23 << 30, 32768), (0, 4096))
"""VRAM of all cards -> the context that Ollama chooses (server/routes.go, Serve)."""
_UVM = "/dev/nvidia-uvm"


def findings(host: Host) -> Iterator[Finding]:
    """Every trap of this kind."""
    for server in host.servers:
        yield from _vulkan(server)
        yield from _by_index(server, host)
        yield from _to_nothing(server, host)
        yield from _context(server, host)
        yield from _closed(server, host)
        yield from _hidden(server, host)
        yield from _modprobe(server, host)
    yield from _unusable(host)


def visible(server: Server, host: Host) -> tuple[Gpu, ...]:
    """The cards that its variables leave to it."""
    return tuple(card for vendor in Vendor for card in _visible(server.environment, vendor, host.cards))


def _visible(environment: Environment, vendor: Vendor, cards: Sequence[Gpu]) -> Iterator[Gpu]:
    there = [card for card in cards if card.vendor is vendor]
    pin = next(filter(None, map(environment.get, _PINS[vendor])), "")
    if not pin:
        yield from there
        return
    for word in pin.split(","):
        card = next((card for card in there if _names(word.strip(), card)), None)
        if card is None:
            return  # the first that is unknown hides those after it (CUDA C++ Programming Guide, "CUDA Environment")
        yield card


def _names(word: str, card: Gpu) -> bool:
    """By index, or by a UUID or how one begins."""
    return word == str(card.index) or (len(word) > 4 and card.uuid.lower().startswith(word.lower()))


def _vulkan(server: Server) -> Iterator[Finding]:
    """Since v0.30 the Vulkan backend is on by default, and finds the card again that a pin hides.

    Where all else is switched off and Vulkan on, it is what is wanted.
    """
    environment = server.environment
    pins = [name for name in dict.fromkeys((_CUDA, *_PINS[Vendor.AMD])) if environment.get(name)]
    value = environment.get("OLLAMA_VULKAN")
    if not pins or environment.get("GGML_VK_VISIBLE_DEVICES") or not (value or environment.lacks("OLLAMA_VULKAN")):
        return
    only = value in envconfig.TRUE and all(environment.get(name).startswith("-") for name in pins)
    if envconfig.truth(value, default=True) and not only:
        yield Finding(
            trap=Trap.VULKAN_LEAK,
            severity=Severity.ERROR,
            unit=server.unit,
            message=f"{pins[0]} pins it to no card: Ollama's Vulkan backend is on, and finds every card again",
            evidence=(*(environment.told(name) for name in pins), environment.told("OLLAMA_VULKAN")),
            mend=mend.assign(server, "OLLAMA_VULKAN", "0"),
        )


def _by_index(server: Server, host: Host) -> Iterator[Finding]:
    """CUDA counts the fastest card first unless it is told otherwise."""
    environment = server.environment
    words = environment.get(_CUDA).split(",")
    nvidia = [card for card in host.cards if card.vendor is Vendor.NVIDIA]
    counted = environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID" or not environment.lacks("CUDA_DEVICE_ORDER")
    if counted or len(nvidia) < 2 or len({card.name for card in nvidia}) < 2:
        return
    if all(word.strip().isdecimal() for word in words):
        yield Finding(
            trap=Trap.PIN_BY_INDEX,
            unit=server.unit,
            message=f"card {environment.get(_CUDA)} may be another than nvidia-smi's: CUDA counts the fastest first",
            evidence=(environment.told(_CUDA), *(f"nvidia-smi's {card.index} is {card.name}" for card in nvidia)),
            mend=mend.assign(server, "CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
        )


def _to_nothing(server: Server, host: Host) -> Iterator[Finding]:
    """A card that was taken out, or a slip: the server computes on the CPU."""
    for vendor, name in ((Vendor.NVIDIA, _CUDA), (Vendor.AMD, "ROCR_VISIBLE_DEVICES")):
        there = [card for card in host.cards if card.vendor is vendor]
        words = [word.strip() for word in server.environment.get(name).split(",") if word.strip()]
        unknown = [word for word in words if not any(_names(word, card) for card in there)]
        untold = any(not card.uuid for card in there) and any(not word.isdecimal() for word in unknown)
        if not there or not unknown or untold or words[0].startswith("-") or unknown[0].startswith("MIG-"):
            continue
        cards = ", ".join(f"{card.index} = {card.uuid or card.pci}" for card in there)
        yield Finding(
            trap=Trap.PIN_TO_NOTHING,
            severity=Severity.ERROR,
            unit=server.unit,
            message=f"this host has no {vendor} card {unknown[0]}: the pin ends there, and with none it computes "
            "on the CPU",
            evidence=(server.environment.told(name), f"there are {cards}"),
            mend=mend.assign(server, name, there[0].uuid or str(there[0].index), why="or the card that was meant"),
        )


def _context(server: Server, host: Host) -> Iterator[Finding]:
    cards = visible(server, host)
    value = server.environment.get("OLLAMA_CONTEXT_LENGTH")
    if (
        not cards
        or server.ours
        or not (envconfig.number(value) == 0 or server.environment.lacks("OLLAMA_CONTEXT_LENGTH"))
    ):
        return
    sizes = [card.memory for card in cards if card.memory is not None]
    seen = f"{len(cards)} of the cards of this host are left to it"
    if len(sizes) == len(cards):
        tokens = next(tokens for least, tokens in _TIERS if sum(sizes) >= least)
        seen += f", {sum(sizes) / (1 << 30):.0f} GiB together: Ollama takes {tokens} tokens for each request at once"
    yield Finding(
        trap=Trap.CONTEXT_BY_VRAM,
        unit=server.unit,
        message="Ollama sets its context by the VRAM that it sees, so another card or pin changes what a model needs",
        evidence=(server.environment.told("OLLAMA_CONTEXT_LENGTH"), seen),
        mend=mend.assign(server, "OLLAMA_CONTEXT_LENGTH", "8192"),
    )


def _nodes(cards: Sequence[Gpu], host: Host) -> Iterator[Node]:
    """The device nodes that a server opens to use the cards."""
    wanted = set()
    for card in cards:
        if card.vendor is Vendor.NVIDIA:
            wanted |= {"/dev/nvidiactl", _UVM, f"/dev/nvidia{card.minor}"}
        else:
            wanted |= {"/dev/kfd", *(f"/dev/dri/renderD{node.partition(':')[2]}" for node in card.nodes)}
    yield from (node for node in host.nodes if node.path in wanted)


def _closed(server: Server, host: Host) -> Iterator[Finding]:
    if server.account_missing:
        return
    needs = rights.READ | rights.WRITE
    closed = [node for node in _nodes(visible(server, host), host) if not rights.may(node, server, needs)]
    if not closed:
        return
    groups = sorted(
        {node.group for node in closed if node.group not in ("", "root") and node.mode >> 3 & needs == needs}
    )
    user = server.settings.user or "its user"
    if not groups:
        how = Mend(f"only root may open it: `ls -l {closed[0].path}`; a udev rule gives it to a group")
    elif server.user_manager:
        how = Mend(f"`sudo usermod -aG {','.join(groups)} $USER`, then log in again")
    else:
        how = mend.edit(server, f"[Service]\nSupplementaryGroups={' '.join(groups)}\n")
    yield Finding(
        trap=Trap.CARD_CLOSED,
        severity=Severity.ERROR,
        unit=server.unit,
        path=closed[0].path,
        message=f"it computes on the CPU: {user} may not open {listed([node.path for node in closed])}",
        evidence=tuple(map(rights.words, closed)),
        mend=how,
    )


def _hidden(server: Server, host: Host) -> Iterator[Finding]:
    """A fence that lets some of its cards through is meant so."""
    settings, vendors = server.settings, {card.vendor for card in visible(server, host)}
    fenced = settings.private_devices or settings.device_policy in ("closed", "strict") or bool(settings.devices)
    through = any(device.startswith(_CLASSES[vendor][0]) for vendor in vendors for device in settings.devices)
    if not fenced or not vendors or (through and not settings.private_devices):
        return
    lines = ["PrivateDevices=no"] if settings.private_devices else []
    said = f"PrivateDevices={'yes' if settings.private_devices else 'no'} DevicePolicy={settings.device_policy}"
    if settings.devices or not settings.private_devices:
        lines += [f"DeviceAllow={word} rw" for vendor in sorted(vendors) for word in _CLASSES[vendor][1]]
    yield Finding(
        trap=Trap.CARD_HIDDEN,
        severity=Severity.ERROR,
        unit=server.unit,
        message="it computes on the CPU: its unit hides every card from it",
        evidence=(f"{said} DeviceAllow={' '.join(settings.devices)}",),
        mend=mend.edit(server, "\n".join(["[Service]", *lines, ""])),
    )


def _modprobe(server: Server, host: Host) -> Iterator[Finding]:
    """CUDA runs nvidia-modprobe, which is setuid, to make what is missing after a boot."""
    nvidia = [card for card in visible(server, host) if card.vendor is Vendor.NVIDIA]
    helped = any("nvidia-modprobe" in command for command in server.settings.before)
    if not nvidia or helped or not server.settings.no_new_privileges or server.user_manager:
        return
    if any(node.path == _UVM for node in host.nodes):
        return
    minors = " ".join(f"-c={card.minor}" for card in nvidia if card.minor is not None)
    yield Finding(
        trap=Trap.MODPROBE_FORBIDDEN,
        severity=Severity.ERROR,
        unit=server.unit,
        path=_UVM,
        message=f"it computes on the CPU: {_UVM} is missing, and NoNewPrivileges=yes keeps it from making it",
        evidence=(f"no {_UVM}; NoNewPrivileges=yes and no nvidia-modprobe in ExecStartPre=",),
        mend=mend.edit(server, f"[Service]\nExecStartPre=+-/usr/bin/nvidia-modprobe -u {minors}\n"),
    )


def _unusable(host: Host) -> Iterator[Finding]:
    """Of no interest where every server is kept from cards on purpose."""
    if host.servers and all(server.environment.get(_CUDA).startswith("-") for server in host.servers):
        return
    for problem in host.card_problems:
        yield Finding(
            trap=Trap.CARD_UNUSABLE,
            severity=Severity.ERROR,
            path=problem.path,
            message=problem.message,
            evidence=(problem.path,),
            mend=Mend(problem.hint),
        )
