"""Settings come from lumbung.toml and the environment; a wrong one is named, with what it should be."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from harvester.archive import open_archive
from harvester.errors import ConfigError
from harvester.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"LUMBUNG_{name.upper()}", raising=False)
    return tmp_path


def test_without_any_setting_all_state_is_in_one_folder(in_empty_folder: Path) -> None:
    settings = load_settings()
    home = in_empty_folder / "lumbung-data"
    assert settings.catalogue_url == f"sqlite:///{home}/catalogue.sqlite"
    assert settings.archive_url == f"file://{home}/archive"
    assert settings.index_path == home / "index"
    assert (settings.max_wait, settings.allow_private, settings.engine) == (300.0, False, "embedded:")


def test_the_environment_wins_over_the_file(in_empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (in_empty_folder / "lumbung.toml").write_text('max_wait = 5\nnetwork_name = "Jaringan é"\nhome = "h"\n')
    monkeypatch.setenv("LUMBUNG_MAX_WAIT", "0.01")
    settings = load_settings()
    assert (settings.max_wait, settings.network_name, settings.home) == (0.01, "Jaringan é", Path("h"))


def test_settings_do_not_change_and_show_no_secret() -> None:
    settings = load_settings(
        secret_key="hidden", engine="https://lumbung:hidden@host:9200/pustaka", engine_api_key="hidden"
    )
    with pytest.raises(ValidationError):
        settings.max_wait = 1
    assert "hidden" not in repr(settings)
    assert settings.get_secret_keys() == ["hidden"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_WAIT", "0"),
        ("MAX_WAIT", "-1"),
        ("MAX_WAIT", "nan"),
        ("MAX_WAIT", "inf"),
        ("MAX_WAIT", "86401"),
        ("MAX_WAIT", "soon"),
        ("BASE_URL", "library.example"),
        ("BASE_URL", "ftp://library.example"),
        ("BASE_URL", "http://["),
        ("ENGINE", "lucene"),
        ("ENGINE", "ftp://host:9200"),
        ("ENGINE", "http://host:port"),
        ("ENGINE", "https://host:9200/a/b"),
        ("ENGINE", "https://host:9200/Perpustakaan"),
        ("ENGINE", "https://host:9200/?x=1"),
        ("ENGINE_SHARDS", "0"),
        ("ENGINE_REPLICAS", "-1"),
        ("ENGINE_TIMEOUT", "0"),
        ("ALLOW_PRIVATE", "perhaps"),
        ("S3_ENDPOINT", "s3.example"),
        ("S3_ENDPOINT", "https://key:secret@s3.example"),
        ("S3_ENDPOINT", "https://s3.example:port"),
        ("S3_ENDPOINT", "https://"),
        ("ADMIN_EMAIL", "pustaka@x.id\nX-Evil: 1"),
        ("ADMIN_EMAIL", "p\u0142stak@x.id"),
        ("BASE_URL", "http://p\u0142stak.id"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"LUMBUNG_{name}", value)
    with pytest.raises(ConfigError, match=f"^wrong settings: LUMBUNG_{name}: ") as caught:
        load_settings()
    assert "\n" not in str(caught.value)
    assert "must be" in str(caught.value)
    assert "Value error" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("max_wait = ", "lumbung.toml"),
        ("hom = 1", "^wrong settings: unknown setting `hom` in lumbung.toml$"),
        ("max_wait = [1]", "LUMBUNG_MAX_WAIT: must be a number"),
        ("home = 5", "LUMBUNG_HOME: must be the path"),
        ("engine = 5", "LUMBUNG_ENGINE: must be a text"),
        ("allow_private = 5", "LUMBUNG_ALLOW_PRIVATE: must be true or false"),
    ],
)
def test_a_wrong_file_is_named(content: str, words: str, in_empty_folder: Path) -> None:
    (in_empty_folder / "lumbung.toml").write_text(content)
    with pytest.raises(ConfigError, match=words):
        load_settings()


def test_a_settings_file_that_cannot_be_read_is_named(in_empty_folder: Path) -> None:
    (in_empty_folder / "lumbung.toml").mkdir()
    with pytest.raises(ConfigError, match=r"^lumbung\.toml cannot be read: it is a folder$"):
        load_settings()


def test_an_empty_home_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUMBUNG_HOME", "")
    assert load_settings().home == Path("lumbung-data")


def test_an_archive_that_we_do_not_know_is_named_without_its_password() -> None:
    with pytest.raises(ConfigError, match=r"file:///FOLDER or s3://BUCKET/PREFIX, not such a s3: URL$"):
        open_archive("s3://key:secret@bucket")
    with pytest.raises(ConfigError, match=r"not a text without a scheme$"):
        open_archive("secret")


def test_the_base_url_has_no_slash_at_its_end() -> None:
    assert load_settings(base_url="https://library.example/a/").base_url == "https://library.example/a"


def test_members_learn_who_asks_and_where_to_complain() -> None:
    settings = load_settings(base_url="https://library.example", admin_email="pustaka@library.example")
    assert settings.user_agent.startswith("Lumbung/")
    assert "+https://library.example/about; mailto:pustaka@library.example" in settings.user_agent
    assert "mailto" not in load_settings().user_agent


def test_a_secret_key_is_made_once_and_only_its_owner_reads_it(in_empty_folder: Path) -> None:
    settings = load_settings(home=in_empty_folder / "new" / "home")
    (key,) = settings.get_secret_keys()
    assert len(key) >= 32
    assert load_settings(home=in_empty_folder / "new" / "home").get_secret_keys() == [key]
    assert stat.S_IMODE((settings.home / "secret-key").stat().st_mode) == 0o600
    assert load_settings(home=in_empty_folder / "other").get_secret_keys() != [key]


def test_who_asks_for_the_secret_key_at_once_gets_the_same_one_whole(in_empty_folder: Path) -> None:
    for number in range(30):
        ready = threading.Barrier(8)
        settings = load_settings(home=in_empty_folder / str(number))

        def ask(settings: Settings = settings, ready: threading.Barrier = ready) -> list[str]:
            ready.wait(60)
            return settings.get_secret_keys()

        with ThreadPoolExecutor(8) as pool:
            (key,) = {tuple(asked.result()) for asked in [pool.submit(ask) for _ in range(8)]}
        assert [len(part) >= 32 for part in key] == [True]
        assert [path.name for path in settings.home.iterdir()] == ["secret-key"]
