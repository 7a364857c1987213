"""Runs the stand-in in a process of its own, for tests of a served site, benchmarks and the demonstration."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def standin(*arguments: str) -> Iterator[dict[str, str]]:
    """Serve within the context. Yields the environment variables with which a client connects."""
    command = [sys.executable, "-m", "tests.standin", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        environ = {}
        for line in process.stdout:
            if line == "\n":
                break
            name, value = line.rstrip("\n").split("=", 1)
            environ[name] = value
        else:
            raise RuntimeError("The stand-in did not start.")
        try:
            yield environ
        finally:
            process.terminate()
