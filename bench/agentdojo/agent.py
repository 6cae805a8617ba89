"""An agent that does whatever it reads: the user's calls, and right after it has first read the
attacker's words, the attacker's. What is denied it leaves out, and goes on."""

import contextlib
import dataclasses

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

DECISION = "safeconduct/decision"


@dataclasses.dataclass
class Call:
    tool: str
    by: str  # "user" or "attacker"
    reached: bool
    approved: bool
    requestable: bool
    rules: list
    problem: str | None = None  # why an approval did not come or did not help


@dataclasses.dataclass
class Outcome:
    task: str
    attack: str | None
    calls: list
    completed: bool
    attacked: bool

    @property
    def approvals(self):
        return sum(call.approved for call in self.calls)


@contextlib.asynccontextmanager
async def connected(guard, task):
    async with httpx2.AsyncClient(headers=guard.headers(task), timeout=60) as http:
        async with streamable_http_client(guard.mcp, http_client=http) as streams:
            async with ClientSession(streams[0], streams[1]) as session:
                await session.initialize()
                yield session


async def run(guard, upstream, trial, name, person):
    """One trial. Where a `person` is there, they approve each of the user's own calls that may be
    asked for, and none of the attacker's, of which they know nothing."""
    upstream.trial = trial
    task = await guard.begin(trial.prompt)
    calls = []

    async def make(session, tool, arguments, by):
        before = len(trial.reached)
        result = await session.call_tool(tool, arguments)
        told = (result.meta or {}).get(DECISION, {})
        reached = len(trial.reached) > before
        requestable = bool(told.get("requestable"))
        approved = False
        problem = None
        if not reached and requestable and by == "user" and person:
            # The assistant asks, its owner approves that very call once, and it is made again.
            problem = await guard.approve(task, tool, arguments)
            if problem is None:
                result = await session.call_tool(tool, arguments)
                reached = approved = len(trial.reached) > before
                problem = None if reached else str(result.meta or result.content)
        rules = [reason.get("rule") or reason.get("code") for reason in told.get("reasons", [])]
        calls.append(Call(tool, by, reached, approved, requestable, rules, problem))
        return reached

    async with connected(guard, task) as session:
        for number, (tool, arguments) in enumerate(trial.user_calls()):
            reached = await make(session, tool, arguments, "user")
            if trial.injected and reached and number == trial.first_exposed:
                for tool, arguments in trial.attackers_calls():
                    await make(session, tool, arguments, "attacker")
    await guard.end(task)
    all_made = all(call.reached for call in calls if call.by == "user")
    completed = all_made and trial.completed()
    return Outcome(name, trial.attack, calls, completed, trial.attacked())
