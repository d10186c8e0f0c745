"""Operators take records and files down, and lift that: everywhere at once, by the page as by the command."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from held_files import PDF, put_held
from lxml import html
from sample_network import NOW, Network, build_network

from harvester.catalogue import Catalogue, open_catalogue
from harvester.errors import ConfigError
from harvester.samples.pdf_writer import Line, write_pdf
from indexer.feed import prepare
from web.app import create_app
from web.cli import lumbung
from web.copies import copy_path

KEY = "kunci-yang-cukup-panjang"
BODY = write_pdf([[Line(70, 700, "Halaman")]])


@dataclass
class Scene:
    network: Network
    catalogue: Catalogue
    client: FlaskClient
    checksum: str

    @property
    def record(self) -> str:
        return self.network.id_of("padi-7")

    def headers(self, key: str = KEY) -> dict[str, str]:
        told = b64encode(f"petugas:{key}".encode()).decode()
        return {"Authorization": f"Basic {told}", "Accept-Language": "en"}

    def post(self, what: str, do: str = "down", note: str = "the author asks", **others: str) -> Any:
        page = html.document_fromstring(self.client.get("/takedowns", headers=self.headers()).text)
        self.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
        token = page.xpath('//input[@name="token"]/@value')[0]
        form = {"token": token, "do": do, "what": what, "note": note} | others
        return self.client.post("/takedowns", data=form, headers=self.headers())

    def found(self) -> list[str]:
        told = self.client.get("/api/search?q=panen+nomor+7&member=alfa").get_json()
        return [hit["id"] for hit in told["hits"]]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    network = build_network(tmp_path_factory.mktemp("takedowns"))
    catalogue = open_catalogue(network.settings.catalogue_url)
    files = ("https://alfa.example/7.pdf", BODY, PDF)
    (checksum,) = put_held(network.settings, catalogue, "oai:padi-7", files, now=NOW)
    prepare.advance(catalogue, network.settings.repository_domain)
    app = create_app(network.settings.model_copy(update={"operator_key": KEY}))
    yield Scene(network, catalogue, app.test_client(), checksum)
    app.extensions["lumbung"].close()
    catalogue.close()


def test_without_a_key_there_is_no_such_page(client: FlaskClient) -> None:
    assert (client.get("/takedowns").status_code, client.post("/takedowns").status_code) == (404, 404)


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("key", ["", "x", KEY[:-1], KEY + "é"])
def test_a_wrong_key_sees_and_does_nothing(scene: Scene, method: str, key: str) -> None:
    answer = getattr(scene.client, method)("/takedowns", headers=scene.headers(key))
    assert (answer.status_code, answer.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    assert scene.record not in answer.text


def test_a_form_of_strangers_does_nothing(scene: Scene) -> None:
    assert scene.post(scene.record, token="guessed").status_code == 403
    assert scene.client.get(f"/record/{scene.record}").status_code == 200


@pytest.mark.parametrize("address", ["{id}", "https://library.test/record/{id}", "/record/{id}.ris?lang=en"])
def test_a_record_is_down_at_once_everywhere_and_up_again(scene: Scene, address: str) -> None:
    assert scene.record in scene.found()
    told = scene.post(address.format(id=scene.record))
    assert (told.status_code, "It is down." in told.text) == (200, True)
    gone = scene.client.get(f"/record/{scene.record}")
    assert (gone.status_code, "It was taken down by request" in gone.text) == (410, True)
    assert "withdrew" not in gone.text
    assert scene.client.get(f"/record/{scene.record}.ris").status_code == 410
    assert scene.record not in scene.found()
    domain = scene.network.settings.repository_domain
    oai = f"/oai?verb=GetRecord&metadataPrefix=oai_dc&identifier=oai:{domain}:alfa/{scene.record}"
    assert 'status="deleted"' in scene.client.get(oai).text
    assert scene.client.get(copy_path(scene.record, scene.checksum)).status_code == 451
    assert "It was down already." in scene.post(scene.record).text
    assert "It may be shown and fetched again." in scene.post(scene.record, "lift", "settled").text
    assert scene.client.get(copy_path(scene.record, scene.checksum)).status_code == 200
    assert scene.client.get(f"/record/{scene.record}").status_code == 200
    assert scene.record in scene.found()


def test_a_file_is_down_wherever_it_came_from(scene: Scene) -> None:
    path = copy_path(scene.record, scene.checksum)
    assert scene.client.get(path).status_code == 200
    for name in (f"https://library.test{path}", scene.checksum.upper()):
        assert "It is down." in scene.post(name).text
        assert scene.client.get(path).status_code == 451
        assert scene.client.get(f"/record/{scene.record}").status_code == 200
        scene.post(scene.checksum, "lift")
        assert scene.client.get(path).status_code == 200


def test_the_page_lists_all_and_shows_what_a_record_has(scene: Scene) -> None:
    scene.post(scene.record, note="kata <pengarang>")
    scene.post(scene.record, "lift", "selesai")
    page = html.document_fromstring(
        scene.client.get(f"/takedowns?what={scene.record}", headers=scene.headers() | {"Accept-Language": "id"}).text
    )
    row = " ".join(page.xpath("//tbody/tr")[0].text_content().split())
    assert row.startswith(f"{scene.record} kata <pengarang> ")
    assert row.endswith(": selesai")
    assert scene.checksum[:16] in page.xpath('string(//section[@aria-labelledby="new"])')
    assert page.xpath("string(//h1)") == "Penurunan"


@pytest.mark.parametrize(("what", "note", "status"), [("", "x", 400), ("{id}", " ", 400), ("zzz", "x", 404)])
def test_what_is_not_said_or_not_there_changes_nothing(scene: Scene, what: str, note: str, status: int) -> None:
    assert scene.post(what.format(id=scene.record), note=note).status_code == status
    assert scene.client.get(f"/record/{scene.record}").status_code == 200


def test_the_command_does_the_same_at_once(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUMBUNG_HOME", str(scene.network.settings.home))
    monkeypatch.setenv("LUMBUNG_BASE_URL", scene.network.settings.base_url)
    run = CliRunner()
    done = run.invoke(lumbung, ["takedown", f"http://library.test/record/{scene.record}", "--note", "asked for"])
    assert done.exit_code == 0, done.output
    assert scene.record not in scene.found()
    assert run.invoke(lumbung, ["takedown", scene.record, "--lift", "--note", "settled"]).exit_code == 0
    assert scene.record in scene.found()
    assert isinstance(run.invoke(lumbung, ["takedown", "zzz", "--note", "x"]).exception, ConfigError)
