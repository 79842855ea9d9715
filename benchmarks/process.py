"""A contender of a benchmark, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


class Process:
    """Runs ``python -m module name ...``; ``process("login", "ada")`` calls that function there.

    The module writes one line when it is ready. Then it reads a JSON array from each line of its
    standard input, the name of a function and its arguments, and writes the result as a line of
    JSON.
    """

    def __init__(self, module: str, name: str, *arguments: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._read()

    def __call__(self, *command: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        return self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with status {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        self.process.communicate()
