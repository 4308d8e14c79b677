"""pydantic-settings: the client's arguments from variables or a .env file; the token is a SecretStr all the way.

Run it with `APIFY_TOKEN=... python recipes/settings.py`. The client is closed by `async with`.
"""

import asyncio

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from apify_tasks_async import TasksClient


class Settings(BaseSettings):
    """The variables APIFY_TOKEN, APIFY_API_BASE_URL and APIFY_CONCURRENCY."""

    model_config = SettingsConfigDict(env_prefix="apify_", env_file=".env", extra="ignore")

    token: SecretStr = Field(default=...)
    api_base_url: str = "https://api.apify.com"
    concurrency: int = Field(default=8, ge=1)


async def main() -> None:
    """Count the tasks."""
    settings = Settings()
    print(settings)
    client = TasksClient(settings.token, base_url=settings.api_base_url, concurrency=settings.concurrency)
    async with client:
        print(await client.count(), "tasks")


if __name__ == "__main__":
    asyncio.run(main())
