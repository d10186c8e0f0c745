"""What docker-compose.yml and Dockerfile say, read without Docker."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::([-?])([^}]*))?\})")


class Compose:
    """The services of docker-compose.yml, its variables replaced by these values."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        raw = YAML(typ="safe").load(ROOT / "docker-compose.yml")
        self.raw: dict[str, dict[str, Any]] = raw["services"]
        filled = self._fill(raw)
        self.services: dict[str, dict[str, Any]] = filled["services"]
        self.configs: dict[str, dict[str, str]] = filled["configs"]
        self.volumes: dict[str, None] = filled["volumes"]

    def is_ours(self, name: str) -> bool:
        """Whether the service runs the image of the Dockerfile."""
        return "build" in self.services[name]

    def command(self, name: str) -> list[str]:
        """What the service starts, as the image's entry point gets it where that is not ours."""
        service = self.services[name]
        own = dockerfile_words("ENTRYPOINT") if self.is_ours(name) else []
        return [*service.get("entrypoint", own), *service.get("command", [])]

    def check(self, name: str) -> list[str]:
        """The command of the service's health check; empty where it has none."""
        if test := self.services[name].get("healthcheck", {}).get("test"):
            return ["sh", "-c", test[1]] if test[0] == "CMD-SHELL" else list(test[1:])
        return dockerfile_words("HEALTHCHECK") if self.is_ours(name) else []

    def _fill(self, part: Any) -> Any:
        if isinstance(part, dict):
            return {name: self._fill(value) for name, value in part.items()}
        if isinstance(part, list):
            return [self._fill(value) for value in part]
        return _VARIABLE.sub(self._value_of, part) if isinstance(part, str) else part

    def _value_of(self, found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if name is None:
            return "$"
        value = self._values.get(name, "")
        assert value or kind != "?", f"{name}: {rest}"
        return value or (rest if kind == "-" else "")


def dockerfile_lines(instruction: str) -> list[str]:
    """The arguments of each such instruction, in order."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    return [rest for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word == instruction]


def dockerfile_words(instruction: str) -> list[str]:
    """The words of the last such instruction, in the form of a JSON list."""
    found: list[str] = json.loads("[" + dockerfile_lines(instruction)[-1].partition("[")[2])
    return found


def dockerfile_sources() -> list[str]:
    """What of this repository is in the image."""
    copies = [shlex.split(line) for line in dockerfile_lines("COPY")]
    return [source for words in copies if not words[0].startswith("--") for source in words[:-1]]
