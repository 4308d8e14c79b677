"""MCP: a tool by which a model finds tasks, for clients that start the server themselves.

Run it with `APIFY_TOKEN=... python recipes/mcp_server.py`. The lifespan of the server closes the client. Tasks are
written as the API's JSON.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.mcpserver import Context, MCPServer

from apify_tasks_async import TasksClient


@asynccontextmanager
async def lifespan(_: MCPServer[TasksClient]) -> AsyncIterator[TasksClient]:
    """Open the client in the loop of the server, and close it at the end."""
    async with TasksClient() as client:
        yield client


server = MCPServer[TasksClient]("apify-tasks", lifespan=lifespan)


@server.tool()
async def find_tasks(context: Context[TasksClient, Any], word: str, limit: int = 10) -> list[dict[str, Any]]:
    """Find the newest Apify tasks whose name contains a word."""
    client = context.request_context.lifespan_context
    found = []
    async for task in client.iter_tasks(desc=True):
        if word in task.name:
            found.append(task.to_dict())
        if len(found) == limit:
            break
    return found


if __name__ == "__main__":
    server.run()
