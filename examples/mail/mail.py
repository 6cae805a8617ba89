"""A small mail server as an MCP server over standard input and output, with its outbox in SQLite.

`send` puts a mail to one address into the outbox, `outbox` lists what is in it, and `search` looks
through an archive so large that it takes a while. The server checks no rights; that is what stands
in front of it.

The data file is MAIL_DATABASE, or `mail.sqlite` beside this program. A search takes as many seconds
as MAIL_SEARCH_SECONDS says, or 20.
"""

import asyncio
import json
import os
import re
import sqlite3
from pathlib import Path

import mcp_types as types
from mcp.server import Server
from mcp.server.stdio import stdio_server

HERE = Path(__file__).resolve().parent
# One address: whoever decides by how it ends decides on all of it.
ADDRESS = re.compile(r"[a-z0-9._+-]{1,64}@[a-z0-9.-]{1,190}")

TEXT = {"type": "string"}
TOOLS = [
    types.Tool(
        name="send",
        title="Send a mail",
        description="Sends a mail to one address. What is sent cannot be taken back.",
        input_schema={
            "type": "object",
            "properties": {
                "to": {**TEXT, "description": "one address, such as dora@support.example"},
                "subject": TEXT,
                "body": TEXT,
            },
            "required": ["to", "subject", "body"],
            "additionalProperties": False,
        },
    ),
    types.Tool(
        name="outbox",
        title="What was sent",
        description="Lists the addresses and subjects of the mails that were sent.",
        input_schema={"type": "object", "properties": {}, "additionalProperties": False},
        annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
    ),
    types.Tool(
        name="search",
        title="Search the archive",
        description="Looks through all mail of the last ten years, which takes a while.",
        input_schema={
            "type": "object",
            "properties": {"words": TEXT},
            "required": ["words"],
            "additionalProperties": False,
        },
        annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
    ),
]


class Refused(Exception):
    """The caller's mistake, in words for the caller."""


def database():
    """Opens the outbox, and makes it where there is none yet."""
    file = Path(os.environ.get("MAIL_DATABASE") or HERE / "mail.sqlite")
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, address TEXT NOT NULL,"
        " subject TEXT NOT NULL, body TEXT NOT NULL) STRICT"
    )
    return connection


async def send(db, to, subject, body):
    if not ADDRESS.fullmatch(to):
        raise Refused("`to` is one address in lower case")
    db.execute("INSERT INTO outbox (address, subject, body) VALUES (?, ?, ?)", (to, subject, body))
    return {"sent": to}


async def outbox(db):
    rows = db.execute("SELECT address, subject FROM outbox ORDER BY id")
    return [{"to": address, "subject": subject} for address, subject in rows]


async def search(_db, words):
    await asyncio.sleep(float(os.environ.get("MAIL_SEARCH_SECONDS") or 20))
    return {"words": words, "found": []}


def answer(text, is_error=False):
    content = [types.TextContent(type="text", text=text)]
    return types.CallToolResult(content=content, is_error=is_error)


async def main():
    db = database()

    async def list_tools(_context, _params):
        return types.ListToolsResult(tools=TOOLS)

    async def call_tool(_context, params):
        tool = {"send": send, "outbox": outbox, "search": search}.get(params.name)
        if tool is None:
            return answer(f"there is no tool `{params.name}`", is_error=True)
        try:
            return answer(json.dumps(await tool(db, **(params.arguments or {})), indent=1))
        except (Refused, TypeError) as error:
            return answer(str(error), is_error=True)

    server = Server("mail", version="1.0.0", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


asyncio.run(main())
