"""Our indices on a search server: their schema, their names, which one is read, how far each has come.

    <name>-<checksum>-000001     one build of one schema; `_meta` in its mapping holds what we know of it
    <name>-<checksum>            the alias of the build that is read: moved at once, so readers follow a swap

Each schema has an alias of its own, so a process of an earlier version goes on with the build it understands until
that is gone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from elasticsearch import ApiError

from harvester.errors import EngineError, EngineUnavailableError, SchemaChangedError
from indexer.engine.elastic_server import Server
from indexer.engine.schema import (
    EXACT_WEIGHTS,
    NUMBER_FIELDS,
    OWN_KEYS,
    SHARED_KEYS,
    SORT_FIELDS,
    STEM_WEIGHTS,
    TITLE_ORDER,
)


@dataclass(frozen=True, slots=True)
class Build:
    """One index: its watermark, the languages of its stems, and whether it is still growing beside another."""

    index: str
    watermark: int = 0
    tags: frozenset[str] = frozenset()
    growing: bool = False

    @property
    def meta(self) -> dict[str, Any]:
        return {"watermark": self.watermark, "tags": sorted(self.tags), "growing": self.growing}


class Indices:
    """The builds of one installation, of the schema `checksum` and of others."""

    def __init__(self, server: Server, checksum: str) -> None:
        self.alias = f"{server.address.name}-{checksum}"
        self._server = server
        self._ours = re.compile(rf"{re.escape(server.address.name)}-[0-9a-f]{{12}}-(\d{{6}})")

    def find(self, index: str = "") -> Build | None:
        """The build of this name, or the one that is read; None where there is none of this schema."""
        found = self._list(index or self.alias)
        return found[0] if found else None

    def absent(self) -> EngineError:
        """Why nothing of this schema can be read."""
        if any(aliases for _, aliases in self._all()):
            return SchemaChangedError(
                f"the index {self._server.address.name} on {self._server.address.url} was built for another schema; "
                "run `lumbung reindex`"
            )
        return EngineUnavailableError("the index has not been built yet; run `lumbung index`")

    def create(self, *, growing: bool = False) -> Build:
        """A new, empty build: beside the one that is read, or the first one, read at once."""
        last = max((int(name[-6:]) for name, _ in self._all()), default=0)
        build = Build(f"{self.alias}-{last + 1:06}", growing=growing)
        try:
            self._server.patient.indices.create(
                index=build.index,
                mappings={**_MAPPING, "_meta": build.meta},
                settings={"number_of_shards": self._server.address.shards, **self._settings(growing=growing)},
                aliases={} if growing else {self.alias: {}},
            )
        except ApiError as error:
            if "resource_already_exists_exception" not in str(error):
                raise
        return self.find(build.index) or build

    def find_growing(self) -> Build | None:
        """The build that a rebuild was killed over."""
        return next((build for build in reversed(self._list(f"{self.alias}-*")) if build.growing), None)

    def note(self, build: Build) -> None:
        """What is known of the build is durable."""
        self._server.patient.indices.put_mapping(index=build.index, meta=build.meta)

    def activate(self, build: Build) -> None:
        """The build is read from now on, with as many copies as are wanted; the former one stays, others are gone."""
        client = self._server.patient
        client.indices.put_settings(index=build.index, settings=self._settings(growing=False))
        client.indices.refresh(index=build.index)
        everything = self._all()
        read = [name for name, aliases in everything if self.alias in aliases]
        client.indices.update_aliases(
            actions=[
                *({"remove": {"index": name, "alias": self.alias}} for name in read if name != build.index),
                {"add": {"index": build.index, "alias": self.alias}},
            ]
        )
        self.note(Build(build.index, build.watermark, build.tags))
        former = read or [name for name, aliases in everything if aliases]
        self.delete({name for name, _ in everything} - {build.index, *former[-1:]})

    def delete(self, names: Collection[str]) -> None:
        """These are gone."""
        if names:
            self._server.patient.indices.delete(index=sorted(names), ignore_unavailable=True)

    def _settings(self, *, growing: bool) -> dict[str, Any]:
        """Nothing is refreshed by itself: what is written appears all at once, when it is whole."""
        return {"refresh_interval": "-1", "number_of_replicas": 0 if growing else self._server.address.replicas}

    def _all(self) -> list[tuple[str, Collection[str]]]:
        """All our builds, in the order of their making, with their aliases."""
        answer = self._server.client.indices.get_alias(index=f"{self._server.address.name}-*")
        ours = [(name, each["aliases"]) for name, each in answer.items() if self._ours.fullmatch(name)]
        return sorted(ours, key=lambda pair: pair[0][-6:])

    def _list(self, pattern: str) -> list[Build]:
        answer = self._server.client.indices.get_mapping(
            index=pattern, filter_path="*.mappings._meta", ignore_unavailable=True, allow_no_indices=True
        )
        return [
            _build(name, answer[name]["mappings"]["_meta"]) for name in sorted(answer) if self._ours.fullmatch(name)
        ]


def _build(index: str, meta: Mapping[str, Any]) -> Build:
    return Build(index, meta["watermark"], frozenset(meta["tags"]), meta["growing"])


def _fields() -> dict[str, dict[str, object]]:
    """Tokens come ready from `schema.project`: here they are only parted at their spaces."""
    tokens: dict[str, object] = {"type": "text", "analyzer": "whitespace"}
    keys = ("id", TITLE_ORDER, *OWN_KEYS.values(), SHARED_KEYS)
    numbers = (*NUMBER_FIELDS.values(), *(set(SORT_FIELDS.values()) - {TITLE_ORDER}))
    return {
        "document": {"type": "text", "index": False, "store": True},
        "year": {"type": "long"},
        **dict.fromkeys(EXACT_WEIGHTS, tokens),
        **{name: {**tokens, "index_options": "freqs"} for name in STEM_WEIGHTS},
        **{name: {"type": "keyword"} for name in keys},
        **{name: {"type": "long", "index": False} for name in numbers},
    }


# The document is stored as it came, apart; the server need not keep, and parse, all of what it was given.
_MAPPING = {"dynamic": "strict", "_source": {"enabled": False}, "properties": _fields()}
