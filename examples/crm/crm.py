"""A small CRM as an MCP server over standard input and output, with its data in SQLite.

Like many real tools it does everything behind one name: `records` reads a case, reads the
customer of it, writes a summary, and exports all there is. The server checks no rights; that is
what stands in front of it. It knows one key, and whoever has it may do everything: it refuses
every call of a tool unless CRM_API_KEY in its environment is that key.

The data file is CRM_DATABASE, or `crm.sqlite` beside this program; where it is missing it is made
from `crm.sql`.
"""

import asyncio
import hashlib
import json
import os
import sqlite3
from pathlib import Path

import mcp_types as types
from mcp.server import Server
from mcp.server.stdio import stdio_server

HERE = Path(__file__).resolve().parent
SUMMARY_BYTES_MAX = 64 * 1024

TEXT = {"type": "string"}
TOOLS = [
    types.Tool(
        name="records",
        title="Customer records",
        description=(
            "Works on customer records. `read_case` reads a case; `read_customer` the customer of "
            "a case, or the one that is named; `write_summary` sets the summary of a case; "
            "`export` gives all customers with all their cases, as json or csv."
        ),
        input_schema={
            "type": "object",
            "properties": {
                "operation": {
                    "type": "string",
                    "enum": ["read_case", "read_customer", "write_summary", "export"],
                },
                "case": {**TEXT, "description": "the id of a case, such as C-1042"},
                "customer": {**TEXT, "description": "the id of a customer, such as K-17"},
                "summary": {**TEXT, "description": "what the summary will be"},
                "format": {"type": "string", "enum": ["json", "csv"]},
            },
            "required": ["operation"],
            "additionalProperties": False,
        },
    ),
    types.Tool(
        name="search",
        title="Cases of a customer",
        description="Lists the cases of a customer: id, day it was opened, status and subject.",
        input_schema={
            "type": "object",
            "properties": {"customer": TEXT},
            "required": ["customer"],
            "additionalProperties": False,
        },
        annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
    ),
]


class Refused(Exception):
    """The caller's mistake, in words for the caller."""


def database():
    """Opens the data, and makes it where there is none yet."""
    file = Path(os.environ.get("CRM_DATABASE") or HERE / "crm.sqlite")
    connection = sqlite3.connect(file, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    # One that begins at the same time waits here and then finds the tables.
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        for statement in statements((HERE / "crm.sql").read_text()):
            connection.execute(statement)
    connection.execute("COMMIT")
    return connection


def statements(script):
    """The statements of a script, one by one: `executescript` would commit before it begins."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def check_key(db):
    """Lets nobody in without an API key that is known; the key itself is kept nowhere."""
    key = os.environ.get("CRM_API_KEY")
    if not key:
        raise Refused("an API key is needed: CRM_API_KEY is not set")
    digest = hashlib.sha256(key.encode()).hexdigest()
    if db.execute("SELECT 1 FROM api_keys WHERE digest = ?", (digest,)).fetchone() is None:
        raise Refused("this API key is not known")


def one(db, query, what, name):
    if name is None:
        raise Refused(f"`{what}` is missing")
    row = db.execute(query, (name,)).fetchone()
    if row is None:
        raise Refused(f"there is no {what} `{name}`")
    return dict(row)


def records(db, operation, case=None, customer=None, summary=None, format="json"):
    if operation == "read_case":
        return one(db, "SELECT * FROM cases WHERE id = ?", "case", case)
    if operation == "read_customer":
        if customer is None:
            customer = one(db, "SELECT customer FROM cases WHERE id = ?", "case", case)["customer"]
        return one(db, "SELECT * FROM customers WHERE id = ?", "customer", customer)
    if operation == "write_summary":
        if summary is None or len(summary.encode()) > SUMMARY_BYTES_MAX:
            raise Refused(f"`summary` is a text of at most {SUMMARY_BYTES_MAX} bytes")
        one(db, "SELECT id FROM cases WHERE id = ?", "case", case)
        db.execute("UPDATE cases SET summary = ? WHERE id = ?", (summary, case))
        return {"case": case, "written": len(summary.encode())}
    if operation == "export":
        return export(db, format)
    raise Refused(f"there is no operation `{operation}`")


def export(db, form):
    rows = [
        dict(row)
        for row in db.execute(
            "SELECT customers.*, cases.id AS 'case', subject, notes, summary FROM customers"
            " JOIN cases ON cases.customer = customers.id ORDER BY cases.id"
        )
    ]
    if form == "json":
        return rows
    import csv
    import io

    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def search(db, customer):
    rows = db.execute(
        "SELECT id, opened, status, subject FROM cases WHERE customer = ? ORDER BY id", (customer,)
    )
    return [dict(row) for row in rows]


def answer(text, is_error=False):
    content = [types.TextContent(type="text", text=text)]
    return types.CallToolResult(content=content, is_error=is_error)


async def main():
    db = database()

    async def list_tools(_context, _params):
        return types.ListToolsResult(tools=TOOLS)

    async def call_tool(_context, params):
        tool = {"records": records, "search": search}.get(params.name)
        if tool is None:
            return answer(f"there is no tool `{params.name}`", is_error=True)
        try:
            check_key(db)
            result = tool(db, **(params.arguments or {}))
        except (Refused, TypeError) as error:
            return answer(str(error), is_error=True)
        return answer(result if isinstance(result, str) else json.dumps(result, indent=1))

    server = Server("crm", version="1.0.0", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


asyncio.run(main())
