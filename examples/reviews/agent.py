"""A real MCP client that plays a clerk: it looks around and reads, as it has done for months, and
tries one thing that it never did.

Reads the gateway's URL, the agent's token and what is expected of the last call from the
environment (SAFECONDUCT_MCP_URL, SAFECONDUCT_TOKEN, CLERK_MAKES), and prints one line of JSON for
each call: what was tried, what was expected, what came back. It decides nothing itself.
"""

import asyncio
import json
import os

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

STEPS = [
    ("look around", "list_directory", {"path": "4711"}, "permit"),
    ("read the case", "read_text_file", {"path": "4711/notes.md"}, "permit"),
    (
        "make a folder, as it never did",
        "create_directory",
        {"path": "4711/archive"},
        os.environ["CLERK_MAKES"],
    ),
]


def line(**fields):
    print(json.dumps(fields), flush=True)


async def main():
    headers = {"Authorization": f"Bearer {os.environ['SAFECONDUCT_TOKEN']}"}
    url = os.environ["SAFECONDUCT_MCP_URL"]
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        async with streamable_http_client(url, http_client=http) as streams:
            async with ClientSession(streams[0], streams[1]) as session:
                await session.initialize()
                listed = await session.list_tools()
                line(step="list the tools", tools=sorted(tool.name for tool in listed.tools))
                for what, tool, arguments, expected in STEPS:
                    result = await session.call_tool(tool, arguments)
                    text = "\n".join(c.text for c in result.content if c.type == "text")
                    meta = result.meta or {}
                    line(
                        step=what,
                        tool=tool,
                        expected=expected,
                        is_error=bool(result.is_error),
                        text=text,
                        meta=meta,
                    )


asyncio.run(main())
