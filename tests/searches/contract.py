"""Check `FakeApify` against its OpenAPI document, and the document against OpenAPI: `nox -s contract`."""

import json
import subprocess
import sys
from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

from apify_tasks_async.testing import OPENAPI, FakeApify


def test_document() -> None:
    """The document is valid OpenAPI 3.1, including its schemas and defaults."""
    assert [] == list(OpenAPIV31SpecValidator(OPENAPI).iter_errors())


def test_server(fake_apify: FakeApify, tmp_path: Path) -> None:
    """The server answers requests of Schemathesis, valid or not, as the document says."""
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(OPENAPI))
    fake_apify.create_task()
    command = (
        *(sys.executable, "-m", "schemathesis.cli", "run", document, "--url", fake_apify.url),
        *("--header", f"Authorization: Bearer {fake_apify.token}"),
        *("--checks", "all", "--mode", "all", "--max-examples", "200", "--seed", "0", "--no-color"),
    )
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    asked = {(request.authorised, None in (request.offset, request.desc)) for request in fake_apify.requests}
    assert {(True, False), (True, True), (False, False)} <= asked
