"""Plays a support agent that mails a summary to somebody outside of the house.

A real MCP client, through the gateway. It is run three times, each time as another process: first
it asks, then, however much later, it comes back, then it goes on with other work. One line of JSON
is printed for each step: what was tried, what was expected, what came back. Nothing is decided here.

From the environment:
  SAFECONDUCT_URL    the server, such as http://127.0.0.1:7411
  SAFECONDUCT_TOKEN  the token of the agent `support-agent`
  MAIL_PART          `ask`, `again` or `work`
"""

import asyncio
import json
import logging
import os

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

SUBJECT = "Summary of case C-1042"
BODY = "Parcel 88-204 came nine days late, on 21 November. Open: is the delivery fee paid back?"
INSIDE = {"to": "dora@support.example", "subject": SUBJECT, "body": BODY}
OUTSIDE = {"to": "mara.lindqvist@mail.example", "subject": SUBJECT, "body": BODY}

# What the agent tries in each part: what, tool, arguments, what is expected, whether it takes long.
PARTS = {
    "ask": [
        ("mail the summary to a colleague", "send", INSIDE, "permit", False),
        ("mail the summary to the customer, outside", "send", OUTSIDE, "deny", False),
    ],
    "again": [
        ("the same mail once more, from another process", "send", OUTSIDE, "permit", False),
        ("and a second time", "send", OUTSIDE, "deny", False),
        ("look what was sent", "outbox", {}, "permit", False),
    ],
    "work": [
        ("search ten years of mail", "search", {"words": "delivery fee"}, "cut", True),
        ("look what was sent", "outbox", {}, "stopped", False),
    ],
}


def line(**fields):
    print(json.dumps(fields), flush=True)


async def call(session, step, tool, arguments, expected, long):
    if long:
        line(step=step, tool=tool, begins=True)
    fields = {"step": step, "tool": tool, "expected": expected}
    try:
        result = await session.call_tool(tool, arguments)
    except Exception as error:  # A connection that is cut is an answer too.
        line(**fields, is_error=True, text=str(error), meta={})
        return
    text = "\n".join(content.text for content in result.content if content.type == "text")
    line(**fields, is_error=bool(result.is_error), text=text, meta=result.meta or {})


async def main():
    # Who is stopped cannot say goodbye either.
    logging.getLogger("mcp").setLevel(logging.ERROR)
    base = os.environ["SAFECONDUCT_URL"].rstrip("/")
    headers = {"Authorization": f"Bearer {os.environ['SAFECONDUCT_TOKEN']}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        async with streamable_http_client(f"{base}/mcp/mail", http_client=http) as streams:
            async with ClientSession(streams[0], streams[1]) as session:
                await session.initialize()
                for step in PARTS[os.environ["MAIL_PART"]]:
                    await call(session, *step)


asyncio.run(main())
