"""Fixtures: the stand-in, and AWS's SDK for JavaScript, which runs in Node.js and connects to it."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.standin import Service

HERE = Path(__file__).parent
SDK = HERE.parent.parent / ".venv" / "interop"
PATIENCE_SECONDS = 120

RunJavaScript = Callable[..., Coroutine[Any, Any, list[Any]]]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service(rate=20.0, quota=200) as service:
        yield service


@pytest.fixture
def javascript() -> RunJavaScript:
    """Run jobs of `client.mjs` concurrently, and return the outcome of each."""
    if not (shutil.which("node") and (SDK / "installed").exists()):
        pytest.skip("AWS's SDK for JavaScript is not installed: `make interop` installs it where Node.js is.")

    async def run(service: Service, jobs: Any, **environ: str) -> list[Any]:
        process = await asyncio.create_subprocess_exec(
            *("node", str(HERE / "client.mjs"), str(SDK)),
            env=os.environ | service.environ | {"NODE_EXTRA_CA_CERTS": service.ca_file} | environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                output, _ = await process.communicate(json.dumps(jobs).encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0
        outcomes: list[Any] = json.loads(output)
        return outcomes

    return run
