"""A stock MCP client (the Python SDK) whose calls people must approve, each run another process.

Arguments: the endpoint, a token, the handle of a task or "", then what to do: `call TO`, or
`wait REQUEST TO`, which waits for the answer with the gateway's own tool and calls then. Prints one
JSON object."""

import asyncio
import json
import sys
import time

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

endpoint, token, handle, what, *rest = sys.argv[1:]


def told(result):
    text = "\n".join(content.text for content in result.content if content.type == "text")
    return {"is_error": bool(result.is_error), "text": text, "meta": result.meta or {}}


async def main():
    headers = {"Authorization": f"Bearer {token}"}
    if handle:
        headers["Safeconduct-Task"] = handle
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        async with streamable_http_client(endpoint, http_client=http) as streams:
            async with ClientSession(streams[0], streams[1]) as session:
                await session.initialize()
                tools = [tool.name for tool in (await session.list_tools()).tools]
                answer = {"tools": tools}
                if what == "wait":
                    print(json.dumps({"waits": True}), flush=True)
                    looked = {"request": rest[0], "wait_seconds": 50}
                    status = await session.call_tool("safeconduct_approval_status", looked)
                    answer["status"] = status.structured_content
                begun = time.monotonic()
                answer.update(told(await session.call_tool("put", {"id": rest[-1]})))
                answer["took"] = time.monotonic() - begun
                print(json.dumps(answer))


asyncio.run(main())
