"""Harvesters that others wrote get everything: by set, by date, step by step; in Python and in Perl."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from oai_client import walk
from oaipmh_scythe import HTTPConfig, Scythe
from sample_network import Network
from sickle import Sickle
from test_oai_polling import served

from web.app import create_app

Headers = list[tuple[str, str, bool]]


@pytest.fixture(scope="module")
def url(network: Network) -> Iterator[str]:
    settings = network.settings.model_copy(update={"oai_part": 7})
    with served(create_app(settings)) as address:
        yield address


@pytest.fixture(scope="module")
def everything(network: Network) -> Headers:
    app = create_app(network.settings)
    found = [
        header
        for part in walk(app.test_client(), "ListIdentifiers", metadataPrefix="oai_dc")
        for header in part.headers
    ]
    app.extensions["lumbung"].close()
    return found


def chosen(everything: Headers, part: str) -> Headers:
    first = min(stamp for _, stamp, _ in everything)
    return {
        "all": everything,
        "set": [each for each in everything if ":beta/" in each[0]],
        "from": [each for each in everything if each[1] > first],
    }[part]


@pytest.mark.parametrize("part", ["all", "set", "from"])
@pytest.mark.parametrize("prefix", ["oai_dc", "marcxml", "source_oai_dc"])
def test_sickle(url: str, everything: Headers, part: str, prefix: str) -> None:
    wanted = chosen(everything, part)
    arguments = {"set": {"set": "member:beta"}, "from": {"from": wanted[0][1]}}.get(part, {})
    for method in ("ListRecords", "ListIdentifiers"):
        found = getattr(Sickle(url), method)(metadataPrefix=prefix, **arguments)
        headers = [getattr(each, "header", each) for each in found]
        assert [(each.identifier, each.datestamp, each.deleted) for each in headers] == wanted


@pytest.mark.parametrize("part", ["all", "set", "from"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_scythe(url: str, everything: Headers, part: str, method: str) -> None:
    wanted = chosen(everything, part)
    arguments = {"set": {"set_": "member:beta"}, "from": {"from_": wanted[0][1]}}.get(part, {})
    with Scythe(url, http_config=HTTPConfig(http_method=method)) as scythe:
        headers = [record.header for record in scythe.list_records(metadata_prefix="oai_dc", **arguments)]
    assert [(each.identifier, each.datestamp, each.deleted) for each in headers] == wanted


# Without onRecord it keeps the last part only.
_HTTP_OAI = """
use HTTP::OAI;
my ($url, %chosen) = @ARGV;
my $found = HTTP::OAI::Harvester->new(baseURL => $url)->ListRecords(
    metadataPrefix => 'oai_dc', %chosen, onRecord => sub {
        my $record = shift;
        print join(' ', $record->identifier, $record->datestamp, $record->is_deleted ? 1 : 0), "\\n";
    });
die $found->message if $found->is_error;
"""


@pytest.mark.service
@pytest.mark.parametrize("part", ["all", "set", "from"])
def test_http_oai_of_perl(url: str, everything: Headers, part: str) -> None:
    if subprocess.run(["perl", "-MHTTP::OAI", "-e1"], check=False, capture_output=True).returncode:
        pytest.skip("HTTP::OAI is not installed (Debian: libhttp-oai-perl)")
    wanted = chosen(everything, part)
    arguments = {"set": ["set", "member:beta"], "from": ["from", wanted[0][1]]}.get(part, [])
    done = subprocess.run(
        ["perl", "-e", _HTTP_OAI, url, *arguments], check=True, capture_output=True, text=True, timeout=60
    )
    lines = [line.split(" ") for line in done.stdout.splitlines()]
    assert [(name, stamp, flag == "1") for name, stamp, flag in lines] == wanted


@pytest.mark.service
@pytest.mark.parametrize("part", ["all", "set", "from"])
def test_catmandu(url: str, everything: Headers, part: str) -> None:
    program = shutil.which("catmandu")
    if (
        program is None
        or subprocess.run(["perl", "-MCatmandu::Importer::OAI", "-e1"], check=False, capture_output=True).returncode
    ):
        pytest.skip("Catmandu is not installed (Debian: libcatmandu-oai-perl)")
    wanted = chosen(everything, part)
    arguments = {"set": ["--set", "member:beta"], "from": ["--from", wanted[0][1]]}.get(part, [])
    command = [
        program,
        "convert",
        "OAI",
        "--url",
        url,
        "--metadataPrefix",
        "oai_dc",
        *arguments,
        "to",
        "JSON",
        "--line_delimited",
        "1",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["_identifier"], each["_datestamp"], each.get("_status") == "deleted") for each in found] == wanted
