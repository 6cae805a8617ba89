"""The tools of a suite as an MCP server on loopback; which trial they work in can be changed."""

import asyncio
import contextlib
import socket

import mcp_types as types
import uvicorn
from mcp.server import Server


class Upstream:
    def __init__(self, suite):
        self.suite, self.trial = suite, None
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/mcp"

    async def _list(self, _context, _params):
        tools = [
            types.Tool(
                name=tool["name"], description=tool["description"], input_schema=tool["inputSchema"]
            )
            for tool in self.suite.tools()
        ]
        return types.ListToolsResult(tools=tools)

    async def _call(self, _context, params):
        text, failed = self.trial.call(params.name, params.arguments)
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=text)], is_error=failed
        )

    @contextlib.asynccontextmanager
    async def serving(self):
        server = Server(
            self.suite.name, version="1", on_list_tools=self._list, on_call_tool=self._call
        )
        app = server.streamable_http_app(stateless_http=True, json_response=True)
        http = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        task = asyncio.create_task(http.serve(sockets=[self.socket]))
        while not http.started:
            await asyncio.sleep(0.01)
        try:
            yield
        finally:
            http.should_exit = True
            await task
