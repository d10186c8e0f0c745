"""Running Lumbung as its operator does: commands in processes of their own, over a home folder of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Installation:
    """One installation; its settings are in the environment of each command."""

    home: Path
    settings: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its commands."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LUMBUNG_")}
        return kept | {"LUMBUNG_HOME": str(self.home), "LUMBUNG_MAX_WAIT": "0.05"} | dict(self.settings)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """A command that runs by itself, in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "web", *arguments],
            cwd=self.home.parent,
            env=self.environment,
            text=True,
            start_new_session=True,
            **options,
        )

    def run(self, *arguments: str, status: int | None = 0, timeout: float = 120) -> str:
        """What the command printed; it ended with this exit status (None: any)."""
        process = self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            output, errors = process.communicate(timeout=timeout)
        finally:
            process.kill()
        assert status is None or process.returncode == status, errors
        assert "Traceback" not in errors, errors
        return output

    def harvest(self, *slugs: str, status: int | None = 0) -> dict[str, dict[str, Any]]:
        """The runs of a harvest as `--json` prints them, by member."""
        lines = self.run("harvest", "--json", *slugs, status=status).splitlines()
        return {run["member"]: run for run in map(json.loads, lines)}
