"""A real MCP client that plays an agent at work on case 4711.

Reads the gateway's URL and the agent's token from the environment (SAFECONDUCT_MCP_URL,
SAFECONDUCT_TOKEN), makes the calls below in order, and prints one line of JSON for each:
what was tried, what was expected, what came back. It decides nothing itself.
"""

import asyncio
import json
import os

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

STEPS = [
    ("read the case it works on", "read_text_file", {"path": "4711/notes.md"}, "permit"),
    ("read another customer's folder", "read_text_file", {"path": "4712/notes.md"}, "deny"),
    (
        "write a summary",
        "write_file",
        {
            "path": "4711/summary.md",
            "content": "Parcel 88-204 came on 21 November. Open: is the delivery fee paid back?\n",
        },
        "permit",
    ),
    (
        "write outside its folder",
        "write_file",
        {"path": "summary.md", "content": "x"},
        "deny",
    ),
    (
        "move a file",
        "move_file",
        {"source": "4711/summary.md", "destination": "4711/old.md"},
        "deny",
    ),
    ("call a tool that is not in the catalogue", "get_file_info", {"path": "4711"}, "deny"),
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
