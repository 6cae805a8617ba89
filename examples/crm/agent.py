"""Plays an orchestrator and its agent at work on case C-1042.

The orchestrator begins a task for a person; the agent, a real MCP client, works on it through the
gateway; the orchestrator ends the task. One line of JSON is printed for each step: what was
tried, what was expected, what came back. Nothing is decided here.

From the environment:
  SAFECONDUCT_URL                 the server, such as http://127.0.0.1:7411
  SAFECONDUCT_ORCHESTRATOR_TOKEN  the token of the orchestrator `help-desk`
  SAFECONDUCT_USER_TOKEN          the token of the person `alice`
  SAFECONDUCT_TOKEN               the token of the agent `case-agent`
"""

import asyncio
import contextlib
import json
import os

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

CASE = "C-1042"
AGENT = "case-agent"
SUMMARY = "Parcel 88-204 came nine days late, on 21 November. Open: is the delivery fee paid back?"

# What the agent tries within its task.
STEPS = [
    ("read the case it works on", {"operation": "read_case", "case": CASE}, "permit"),
    ("read the customer of that case", {"operation": "read_customer", "case": CASE}, "permit"),
    (
        "write the summary",
        {"operation": "write_summary", "case": CASE, "summary": SUMMARY},
        "permit",
    ),
    ("export all records", {"operation": "export", "format": "json"}, "deny"),
    ("read another case", {"operation": "read_case", "case": "C-1043"}, "deny"),
    (
        "read another customer along with its case",
        {"operation": "read_customer", "case": CASE, "customer": "K-18"},
        "deny",
    ),
]
AFTERWARDS = ("read the case after the task has ended", STEPS[0][1], "deny")


def line(**fields):
    print(json.dumps(fields), flush=True)


class Orchestrator:
    """Begins and ends tasks; never calls a tool."""

    def __init__(self, http):
        self.http = http

    async def begin(self, step, intent, parameters, expected):
        body = {
            "intent": intent,
            "parameters": parameters,
            "agent": AGENT,
            "on_behalf_of": {"token": os.environ["SAFECONDUCT_USER_TOKEN"]},
        }
        response = await self.http.post("/v1/tasks", json=body)
        answer = answered(response)
        # The handle is a secret of the agent's and is not printed.
        shown = {name: value for name, value in answer.items() if name != "handle"}
        line(step=step, intent=intent, expected=expected, is_error=response.is_error, answer=shown)
        return answer

    async def end(self, task):
        response = await self.http.post(f"/v1/tasks/{task}/end", json={})
        line(
            step="end the task",
            expected="permit",
            is_error=response.is_error,
            answer=answered(response),
        )


def answered(response):
    try:
        answer = response.json()
    except ValueError:
        answer = {"text": response.text}
    return answer if isinstance(answer, dict) else {"answer": answer}


async def call(session, what, arguments, expected):
    fields = {"step": what, "tool": "records", "expected": expected}
    try:
        result = await session.call_tool("records", arguments)
    except Exception as error:  # A connection that is cut is an answer too.
        line(**fields, is_error=True, text=str(error), meta={})
        return
    text = "\n".join(content.text for content in result.content if content.type == "text")
    line(**fields, is_error=bool(result.is_error), text=text, meta=result.meta or {})


@contextlib.asynccontextmanager
async def connected(base, headers):
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        async with streamable_http_client(f"{base}/mcp/crm", http_client=http) as streams:
            async with ClientSession(streams[0], streams[1]) as session:
                await session.initialize()
                yield session


def bearer(variable):
    return {"Authorization": f"Bearer {os.environ[variable]}"}


async def main():
    base = os.environ["SAFECONDUCT_URL"].rstrip("/")
    headers = bearer("SAFECONDUCT_ORCHESTRATOR_TOKEN")
    async with httpx2.AsyncClient(base_url=base, headers=headers, timeout=60) as http:
        orchestrator = Orchestrator(http)
        # This agent is none of those that may undertake it.
        await orchestrator.begin(
            "begin an export with an agent that may not undertake it",
            "export_records",
            {"format": "json"},
            "deny",
        )
        answer = await orchestrator.begin(
            "begin the summary of one case", "summarise_customer_case", {"case": CASE}, "permit"
        )
        if "handle" not in answer:
            raise SystemExit("no task was begun")
        agent = {**bearer("SAFECONDUCT_TOKEN"), "Safeconduct-Task": answer["handle"]}
        async with connected(base, agent) as session:
            for step in STEPS:
                await call(session, *step)
            await orchestrator.end(answer["task"])
            await call(session, *AFTERWARDS)


asyncio.run(main())
