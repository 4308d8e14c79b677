"""Django and other WSGI hosts: a client for each request, in an event loop that lives as long.

Run it with `APIFY_TOKEN=... python recipes/django_app.py`. A client belongs to one event loop, and a WSGI worker has
none, so each request opens and closes its own.
"""

import asyncio
import os
from wsgiref.simple_server import make_server

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from apify_tasks_async import Task, TasksClient, converter

settings.configure(ALLOWED_HOSTS=["127.0.0.1", "localhost"], ROOT_URLCONF=__name__)


async def fetch(limit: int) -> list[Task]:
    """Return the newest tasks."""
    async with TasksClient() as client:
        return await client.all_tasks(desc=True, limit=limit)


def newest(_: HttpRequest) -> HttpResponse:
    """Answer the newest tasks."""
    tasks = asyncio.run(fetch(10))
    return JsonResponse(tasks, safe=False, json_dumps_params={"default": converter.unstructure})


urlpatterns = [path("newest", newest)]
application = get_wsgi_application()

if __name__ == "__main__":
    with make_server("127.0.0.1", int(os.environ.get("PORT", "8000")), application) as server:
        print(f"running on http://127.0.0.1:{server.server_port}")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")
