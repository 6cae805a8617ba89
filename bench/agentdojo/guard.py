"""Safeconduct in front of the tools: a project folder, a server, who acts, and their tasks."""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import httpx2
import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACK = ROOT / "policies" / "baseline"

# What is in force: files of `world/policies` and of the baseline, whether the intent bounds
# arguments, and arguments that are addresses too. Where the whole pack is in force tiers need
# what they need as shipped; elsewhere what is measured is what these policies alone say.
VARIANTS = {
    "nothing": {"own": [], "pack": [], "bounds": False},
    "intent": {"own": [], "pack": [], "bounds": True},
    "labels": {"own": ["labels.cedar"], "pack": [], "bounds": False},
    "provenance": {"own": [], "pack": ["untrusted.cedar"], "bounds": False},
    "order": {"own": ["order.cedar"], "pack": [], "bounds": False},
    "baseline": {"own": [], "pack": None, "bounds": True},
    "strict": {
        "own": [],
        "pack": None,
        "bounds": True,
        "addresses": {"update_user_info": ["/street", "/city"]},
    },
}


def binary():
    named = os.environ.get("SAFECONDUCT_BIN")
    return pathlib.Path(named).resolve() if named else ROOT / "target/release/safeconduct"


def write_project(folder, suite, upstream_url, variant):
    """The folder that a server reads."""
    variant = VARIANTS[variant]
    for name in ("policies", "catalogue", "intents"):
        (folder / name).mkdir()
    world = HERE / "world"
    catalogue = yaml.safe_load((world / "catalogue" / f"{suite.name}.yaml").read_text())
    for action, arguments in variant.get("addresses", {}).items():
        addresses = [{"argument": argument, "role": "address"} for argument in arguments]
        catalogue["actions"][action].setdefault("arguments", []).extend(addresses)
    (folder / "catalogue" / f"{suite.name}.yaml").write_text(yaml.safe_dump(catalogue))
    tools = folder / "catalogue" / f"{suite.name}.tools.json"
    tools.write_text(json.dumps(suite.tools()))
    intent = yaml.safe_load((world / "intents" / f"assist_with_{suite.name}.yaml").read_text())
    if not variant["bounds"]:
        for allowance in intent["envelope"]:
            allowance.pop("arguments", None)
    (folder / "intents" / "assist.yaml").write_text(yaml.safe_dump(intent, sort_keys=False))
    policies = ["assistant.cedar", *variant["own"]]
    for name in policies:
        own = world / "policies" / name
        by_suite = world / "policies" / suite.name / name
        shutil.copy(by_suite if by_suite.exists() else own, folder / "policies")
    for file in sorted(PACK.glob("*.cedar")):
        if variant["pack"] is None or file.name in variant["pack"]:
            shutil.copy(file, folder / "policies" / f"baseline-{file.name}")
    config = {
        "version": 1,
        # Nobody is asked for what the attacker wants: who is there asks for the user's own calls.
        "upstreams": {suite.name: {"http": {"url": upstream_url}, "approvals": "on_request"}},
        "intents": {},
        # Hours of work go by in seconds here, and one person answers for all of it.
        "approvals": {"asked_per_hour": 100},
        "identities": [
            {"id": "emma", "kind": "user"},
            {"id": "owner", "kind": "user"},
            {"id": "assistant", "kind": "agent", "owner": "owner", "fallback_owner": "emma"},
        ],
    }
    if variant["pack"] is not None:
        config["tiers"] = {"high": {"needs": "policy"}, "critical": {"needs": "policy"}}
    (folder / "safeconduct.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


class Guard:
    """A running server, as the person and the assistant use it."""

    def __init__(self, suite, address, admin):
        self.suite, self.base = suite, f"http://{address}"
        self.admin = {"Authorization": f"Bearer {admin}"}
        self.user = self.assistant = self.owner = None
        self.http = httpx2.AsyncClient(base_url=self.base, timeout=60)

    async def enter(self):
        self.user = await self._token("emma")
        self.assistant = await self._token("assistant")
        self.owner = await self._token("owner")

    async def _token(self, identity):
        body = {"identity": identity, "ttl_s": 86_400}
        answer = await self.http.post("/v1/tokens", json=body, headers=self.admin)
        return answer.raise_for_status().json()["token"]

    async def begin(self, prompt):
        """The person asks for something: the task, and the handle that the assistant gets."""
        body = {
            "intent": f"assist_with_{self.suite.name}",
            "agent": "assistant",
            "on_behalf_of": {"token": self.user},
            "prompt": prompt,
        }
        headers = {"Authorization": f"Bearer {self.user}"}
        answer = await self.http.post("/v1/tasks", json=body, headers=headers)
        if answer.is_error:
            raise SystemExit(f"the task does not begin: {answer.text}")
        return answer.json()

    async def end(self, task):
        headers = {"Authorization": f"Bearer {self.user}"}
        await self.http.post(f"/v1/tasks/{task['task']}/end", json={}, headers=headers)

    async def approve(self, task, tool, arguments):
        """The assistant asks for a call that was denied, and its owner says yes, once. Says why
        not where that does not work: `None` where it does."""
        body = {"action": f"{self.suite.name}.{tool}", "arguments": arguments}
        asked = await self.http.post(
            "/v1/access-requests", json=body, headers=self.headers(task)
        )
        if asked.is_error:
            return f"not asked: {asked.text}"
        owner = {"Authorization": f"Bearer {self.owner}"}
        path = f"/v1/access-requests/{asked.json()['id']}"
        shown = (await self.http.get(path, headers=owner)).raise_for_status().json()
        said = {"approve": {"scope": "once"}, "digest": shown["digest"]}
        answered = await self.http.post(f"{path}/answer", json=said, headers=owner)
        return f"not approved: {answered.text}" if answered.is_error else None

    def headers(self, task):
        """What the assistant sends along."""
        return {"Authorization": f"Bearer {self.assistant}", "Safeconduct-Task": task["handle"]}

    @property
    def mcp(self):
        return f"{self.base}/mcp/{self.suite.name}"


@contextlib.asynccontextmanager
async def guarding(suite, upstream_url, variant):
    with tempfile.TemporaryDirectory(prefix="safeconduct-agentdojo-") as name:
        folder = pathlib.Path(name)
        write_project(folder, suite, upstream_url, variant)
        command = [binary(), "--config", folder / "safeconduct.yaml", "server"]
        command += ["--listen", "127.0.0.1:0"]
        log = folder / "server.log"
        with log.open("w") as said:
            process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        try:
            address = await listening(process, log)
            admin = (folder / "keys" / "admin.token").read_text().strip()
            guard = Guard(suite, address, admin)
            async with guard.http:
                await guard.enter()
                yield guard
        finally:
            process.terminate()
            process.wait(timeout=30)


async def listening(process, log):
    """Where it listens, once it says so."""
    while True:
        text = log.read_text()
        found = re.search(r"serving on http://(\S+)", text)
        if found:
            return found.group(1)
        if process.poll() is not None:
            raise SystemExit(f"the server does not start:\n{text}")
        await asyncio.sleep(0.02)
