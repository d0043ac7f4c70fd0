#!/usr/bin/python3
"""Ansible's way to `ollamactl apply`: changed, check mode and diff as the program tells them."""

DOCUMENTATION = r"""
module: ollamactl_fleet
short_description: Make a host match a spec of Ollama servers, and prove it
description:
  - Runs C(ollamactl apply), which changes what differs, proves every server, and rolls back where a proof fails.
  - In check mode it runs C(ollamactl plan), for O(content) in the place of what lies at O(path).
options:
  path: {description: Where the spec lies on the host., type: path, default: /etc/ollamactl/fleet.yaml}
  content: {description: What lies there, or would without check mode., type: str}
  canary: {description: The instance that is changed and proved before the others., type: str, default: ""}
  when_idle: {description: How long to wait until a server is idle., type: str, default: ""}
  timeout: {description: How long all servers may take to start and answer., type: str, default: 5m}
  replace: {description: Take the place of another spec's fleet., type: bool, default: false}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: ollamactl developers
"""
RETURN = r"""
steps: {description: What was done or would be, each with its cause., type: list, elements: str, returned: success}
generation: {description: The number in C(ollamactl history)., type: int, returned: when something was changed}
notes: {description: What ollamactl wants known., type: list, elements: str, returned: always}
"""

import json

from ansible.module_utils.basic import AnsibleModule

QUIET = ("wait", "verify")
"""Steps that change nothing."""


def main():
    """Apply, or plan in check mode."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/ollamactl/fleet.yaml"},
            "content": {"type": "str", "no_log": False},
            "canary": {"type": "str", "default": ""},
            "when_idle": {"type": "str", "default": ""},
            "timeout": {"type": "str", "default": "5m"},
            "replace": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    program = module.get_bin_path("ollamactl")
    if program is None:
        if module.check_mode:
            module.exit_json(changed=True, steps=[], notes=["ollamactl is not installed yet, so nobody can say more"])
        module.fail_json(msg="ollamactl is not installed")
    code, out, err = module.run_command([program, *words(module), "--output", "json"], data=given(module))
    try:
        envelope = json.loads(out)
    except ValueError:
        module.fail_json(msg=f"ollamactl ended with {code} and said: {(err or out).strip()}")
    finish(module, code, envelope)


def words(module):
    """The command line."""
    wanted = module.params
    replace = ["--replace"] if wanted["replace"] else []
    if module.check_mode:
        spec = ["-", "--as", wanted["path"]] if wanted["content"] is not None else [wanted["path"]]
        return ["plan", *spec, "--diff", *replace]
    canary = ["--canary", wanted["canary"]] if wanted["canary"] else []
    idle = [f"--when-idle={wanted['when_idle']}"] if wanted["when_idle"] else []
    return ["apply", wanted["path"], "--diff", "--timeout", wanted["timeout"], *replace, *canary, *idle]


def given(module):
    """What goes in: the spec that does not lie there yet."""
    return module.params["content"] if module.check_mode else None


def finish(module, code, envelope):
    """Hand over what the envelope says."""
    steps = [step for step in envelope["data"].get("steps", []) if step["step"] not in QUIET]
    lines = [told(problem) for problem in envelope["problems"] if problem["severity"] != "error"]
    result = {
        "changed": envelope["changed"],
        "steps": [": ".join(filter(None, (f"{step['step']} {step['subject']}", step["cause"]))) for step in steps],
        "notes": lines,
        "diff": [difference(step) for step in steps] if module._diff else [],
    }
    if "generation" in envelope["data"]:
        result["generation"] = envelope["data"]["generation"]
    if code:
        errors = [told(problem) for problem in envelope["problems"] if problem["severity"] == "error"]
        errors += [told_proof(proof) for proof in envelope["data"].get("proofs", []) if not proof["ok"]]
        if "rollback" in envelope["data"]:
            errors.append("what was changed was rolled back")
        module.fail_json(msg="; ".join(errors) or f"ollamactl ended with {code}", **result)
    module.exit_json(**result)


def told(problem):
    """A problem in a line."""
    return " - ".join(filter(None, (problem["path"], problem["message"], problem["hint"])))


def told_proof(proof):
    """A proof that failed, in a line."""
    found = [f"{check['check']}: {check['found']}" for check in proof["checks"] if not check["ok"]]
    return f"{proof['instance']} did not prove itself ({', '.join(found)})"


def difference(step):
    """A step as Ansible shows differences."""
    if "after" in step or "before" in step:
        texts = {"before": step.get("before") or "", "after": step.get("after") or ""}
        return {**texts, "before_header": step["subject"], "after_header": step["subject"]}
    return {"prepared": f"{step['step']} {step['subject']}: {step['cause']}\n"}


if __name__ == "__main__":
    main()
