"""A re-harvester that believes no answer of the endpoint before every schema does."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from lxml import etree

_OURS = Path(__file__).parents[1] / "schemas"
_OFFICIAL = "usr/lib/python3/dist-packages/gavo/resources/schemata"  # of Debian's python3-gavo
_PLACES = (Path("/") / _OFFICIAL, Path("/opt/lumbung-schemata") / _OFFICIAL)
NS = {
    "o": "http://www.openarchives.org/OAI/2.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "p": "http://www.openarchives.org/OAI/2.0/provenance",
    "dcterms": "http://purl.org/dc/terms/",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "m": "http://www.loc.gov/MARC21/slim",
    "r": "http://www.openarchives.org/OAI/2.0/rights/",
}


@lru_cache(maxsize=1)
def official_schema() -> etree.XMLSchema:
    """OAI-PMH.xsd and oai_dc.xsd as published, with ours of what may stand in their open places."""
    folder = next((place for place in _PLACES if place.is_dir()), None)
    if folder is None:
        pytest.skip("the official schemas are not here (Debian: python3-gavo; .ci/run unpacks it)")
    names = {"http://purl.org/dc/elements/1.1/": folder / "simpledc20021212.xsd"}
    names |= {NS["o"]: folder / "OAI-PMH.xsd", f"{NS['o']}oai_dc/": folder / "oai_dc.xsd"}
    names |= {etree.parse(path).getroot().get("targetNamespace", ""): path for path in sorted(_OURS.glob("*.xsd"))}
    lines = "".join(f'<xs:import namespace="{name}" schemaLocation="{path.as_uri()}"/>' for name, path in names.items())
    whole = f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">{lines}</xs:schema>'
    parser = etree.XMLParser()
    parser.resolvers.add(_Local(folder))
    return etree.XMLSchema(etree.fromstring(whole, parser))


class _Local(etree.Resolver):
    """Schemas name others by their public addresses; nothing is fetched."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def resolve(self, url: str, public_id: str, context: Any) -> Any:  # noqa: ARG002 - the signature is lxml's
        path = self._folder / url.rpartition("/")[2]
        return self.resolve_filename(str(path), context) if path.is_file() else None


def validate(body: bytes) -> etree._Element:
    """The response's root, found valid; what a member sent itself is left out of that."""
    root = etree.fromstring(body)
    copy = etree.fromstring(body)
    if (copy.find("o:request", NS).get("metadataPrefix") or "").startswith("source_"):
        for element in list(copy.iter("{*}metadata")):
            element.getparent().remove(element)
    official_schema().assertValid(copy)
    return root


class Answer:
    """A valid answer; every query is an XPath with the prefixes of `NS`."""

    def __init__(self, client: FlaskClient, *, post: bool = False, raw: str | None = None, **arguments: str) -> None:
        arguments = {name.rstrip("_"): text for name, text in arguments.items()}
        query = urlencode(arguments) if raw is None else raw
        form = "application/x-www-form-urlencoded"
        sent = query.encode("utf-8", "surrogateescape")
        if post:
            self.http = client.post("/oai", data=sent, content_type=form)
        else:
            self.http = client.get("/oai", query_string=sent.decode("latin-1"))
        assert self.http.status_code == 200, self.http.text[:500]
        assert self.http.content_type == "text/xml; charset=UTF-8"
        self.root = validate(self.http.data)

    def all(self, xpath: str) -> list[Any]:
        found = self.root.xpath(xpath, namespaces=NS)
        return [each if isinstance(each, str) else (each.text if each.text is not None else "") for each in found]

    def one(self, xpath: str) -> Any:
        (only,) = self.all(xpath)
        return only

    @property
    def codes(self) -> list[str]:
        return self.all("//o:error/@code")

    @property
    def headers(self) -> list[tuple[str, str, bool]]:
        """Identifier, datestamp and whether deleted, of each header."""
        return [
            (
                element.findtext("o:identifier", "", NS),
                element.findtext("o:datestamp", "", NS),
                element.get("status") == "deleted",
            )
            for element in self.root.iter(f"{{{NS['o']}}}header")
        ]

    @property
    def token(self) -> str:
        return next(iter(self.all("//o:resumptionToken")), "")


def walk(client: FlaskClient, verb: str, **arguments: str) -> list[Answer]:
    """All parts of a list."""
    parts = [Answer(client, verb=verb, **arguments)]
    while parts[-1].token:
        parts.append(Answer(client, verb=verb, resumptionToken=parts[-1].token))
    return parts
