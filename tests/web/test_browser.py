"""The site in a real browser: narrow and wide, light and dark, with and without script, by keyboard."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sample_network import Network
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from werkzeug.serving import make_server

pytestmark = pytest.mark.service

_CHROMIUM, _DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_CSS = Path(__file__).resolve().parents[2] / "web" / "static" / "style.css"

_TARGETS = (
    "button, summary, input, .menu a, .ways a, .chips a, .facet a, .exports a, .pages a, .brand, .button, .sort a"
)
_FIND_SMALL = """
return [...document.querySelectorAll(arguments[0])]
  .filter(element => !element.closest("svg"))
  .map(element => [element.textContent || element.name, element.getBoundingClientRect()])
  .filter(([name, box]) => box.width && box.height && box.height < 43.5)
  .map(([name, box]) => name)
"""

Browser = webdriver.Chrome


@contextmanager
def open_browser(folder: Path, *, script: bool = True) -> Iterator[Browser]:
    """A browser of a fresh profile that asks for English."""
    options = Options()
    options.binary_location = str(_CHROMIUM)
    for argument in (*_ARGUMENTS, f"--user-data-dir={folder}"):
        options.add_argument(argument)
    settings = {"intl.accept_languages": "en"}
    if not script:
        settings["profile.managed_default_content_settings.javascript"] = "2"
    options.add_experimental_option("prefs", settings)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(str(_DRIVER)))
    try:
        yield browser
    finally:
        browser.quit()
        browser.service.stop()


@pytest.fixture(scope="module")
def site(app: Flask) -> Iterator[str]:
    """The address of the site, served for real."""
    if not (_CHROMIUM.exists() and _DRIVER.exists()):
        pytest.skip("Chromium and its driver are not here: /usr/bin/chromium, /usr/bin/chromedriver")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser(site: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def plain_browser(site: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One that runs no script."""
    with open_browser(tmp_path_factory.mktemp("profile"), script=False) as browser:
        yield browser


def resize(browser: Browser, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def pages(network: Network) -> dict[str, str]:
    return {
        "home": "/",
        "search": "/search?q=panen+padi&type=book&type=thesis&year=1999-2020",
        "authors": "/search?q=padi&facet=author",
        "nothing": "/search?q=irigsi&type=video",
        "strange": "/search?q=aneh",
        "huge": f"/record/{network.id_of('huge')}",
        "record": f"/record/{network.id_of('batik')}",
        "gone": f"/record/{network.id_of('gone')}",
        "members": "/members/",
        "member": "/members/alfa",
        "failed": "/members/beta",
        "about": "/about",
        "missing": "/nothing/here",
    }


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("lang", ["id", "en"])
def test_no_page_scrolls_sideways_or_breaks_its_own_rules(
    browser: Browser, site: str, network: Network, width: int, lang: str
) -> None:
    resize(browser, width)
    browser.get(f"{site}/?lang={lang}")
    browser.get_log("browser")
    for name, path in pages(network).items():
        browser.get(site + path)
        assert browser.execute_script("return document.documentElement.lang") == lang
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, name
        assert browser.execute_script("return document.querySelectorAll('h1').length") == 1, name
        nameless = browser.execute_script(
            "return [...document.querySelectorAll('input:not([type=hidden])')].filter(f => !f.labels.length).length"
        )
        assert nameless == 0, name
        complaints = [entry for entry in browser.get_log("browser") if "status of 4" not in entry["message"]]
        assert complaints == [], name
    browser.get(f"{site}/?lang=en")


def test_what_can_be_touched_on_a_small_screen_is_large_enough(browser: Browser, site: str, network: Network) -> None:
    resize(browser, 360)
    for name, path in pages(network).items():
        browser.get(site + path)
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        small = browser.execute_script(_FIND_SMALL, _TARGETS)
        assert small == [], name


def test_titles_are_high_enough_to_touch_and_runs_are_stacked_on_a_small_screen(browser: Browser, site: str) -> None:
    resize(browser, 360)
    for path in ("/", "/search?q=padi"):
        browser.get(site + path)
        heights = browser.execute_script(
            "return [...document.querySelectorAll('.title a')].map(a => a.getClientRects()[0].height)"
        )
        assert heights
        assert min(heights) >= 24, path
    browser.get(f"{site}/members/alfa")
    assert browser.execute_script(
        "return [...document.querySelectorAll('.scroll')].every(box => box.scrollWidth <= box.clientWidth)"
    )


def test_facets_stand_beside_the_hits_on_a_wide_screen_and_fold_away_on_a_small_one(
    browser: Browser, plain_browser: Browser, site: str
) -> None:
    seen = "return document.getElementById('facet-type').checkVisibility({contentVisibilityAuto: true})"
    for one in (browser, plain_browser):
        for width, shown in ((1280, True), (360, False)):
            resize(one, width)
            one.get(f"{site}/search?q=padi")
            assert one.execute_script(seen) is shown
        one.find_element(By.CSS_SELECTOR, ".facets > summary").click()
        assert one.execute_script(seen) is True


def test_everything_is_reached_by_keyboard_and_focus_is_seen(browser: Browser, site: str) -> None:
    resize(browser, 1280)
    browser.get(f"{site}/search?q=padi&type=book")
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    reached = []
    for _ in range(12):
        focused = browser.switch_to.active_element
        reached.append(focused.text or focused.get_attribute("name"))
        assert focused.value_of_css_property("outline-style") != "none"
        assert float(focused.value_of_css_property("outline-width").removesuffix("px")) >= 2
        focused.send_keys(Keys.TAB)
    assert reached[0] == "Skip to the content"
    assert "q" in reached
    assert "Members" in reached


def test_the_slash_key_leads_to_the_search(browser: Browser, site: str) -> None:
    browser.get(f"{site}/members/")
    browser.find_element(By.TAG_NAME, "body").send_keys("/")
    assert browser.switch_to.active_element.get_attribute("name") == "q"
    assert browser.switch_to.active_element.get_attribute("value") == ""


def test_suggestions_come_by_typing_and_are_chosen_by_arrow(browser: Browser, site: str) -> None:
    browser.get(site)
    field = browser.find_element(By.NAME, "q")
    field.send_keys("bati")
    wait = WebDriverWait(browser, 10)
    wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "[role=option]"))
    assert field.get_attribute("aria-expanded") == "true"
    assert "Suggestions" in browser.find_element(By.CSS_SELECTOR, "[aria-live]").get_attribute("textContent")
    field.send_keys(Keys.ARROW_DOWN)
    chosen = browser.find_element(By.CSS_SELECTOR, "[aria-selected=true]")
    assert field.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    field.send_keys(Keys.ESCAPE)
    assert field.get_attribute("aria-expanded") == "false"
    field.send_keys("k")
    wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "[role=option]"))
    field.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    wait.until(lambda b: "/search?" in b.current_url)
    wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, ".hit"))


def test_all_of_it_works_without_script(plain_browser: Browser, site: str, network: Network) -> None:
    browser = plain_browser
    resize(browser, 1280)
    browser.get(site)
    browser.find_element(By.NAME, "q").send_keys("padi", Keys.ENTER)
    WebDriverWait(browser, 20).until(lambda b: b.find_elements(By.CLASS_NAME, "total"))
    total = browser.find_element(By.CLASS_NAME, "total").text
    # The driver holds closed details for hidden whatever the style sheet shows, so the mouse goes by place.
    choice = browser.find_element(By.CSS_SELECTOR, '[aria-labelledby="facet-type"] a')
    ActionChains(browser).move_to_element(choice).click().perform()
    WebDriverWait(browser, 20).until(
        lambda b: "type=" in b.current_url and b.find_elements(By.CSS_SELECTOR, ".chips a")
    )
    assert browser.find_element(By.CLASS_NAME, "total").text != total
    browser.find_element(By.CSS_SELECTOR, ".chips a").click()
    assert browser.find_element(By.CLASS_NAME, "total").text == total
    ActionChains(browser).move_to_element(browser.find_element(By.NAME, "year_from")).click().perform()
    ActionChains(browser).send_keys("2010", Keys.ENTER).perform()
    WebDriverWait(browser, 10).until(lambda b: "year_from=2010" in b.current_url)
    browser.find_element(By.CSS_SELECTOR, ".sort summary").click()
    browser.find_element(By.LINK_TEXT, "Oldest first").click()
    assert "sort=oldest" in browser.current_url
    assert "year=2010-" in browser.current_url
    browser.find_element(By.CSS_SELECTOR, "a[rel=next]").click()
    browser.find_element(By.LINK_TEXT, "Back to the first page").click()
    browser.find_element(By.CSS_SELECTOR, "h2.title a").click()
    assert "/record/" in browser.current_url
    browser.find_element(By.LINK_TEXT, "Indonesia").click()
    assert browser.find_element(By.TAG_NAME, "html").get_attribute("lang") == "id"
    assert "lang=" not in browser.current_url
    browser.find_element(By.LINK_TEXT, "English").click()


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_pair_of_colours_can_be_read() -> None:
    """Text on what it stands on, in both schemes: 4.5 to 1 at least."""
    light, dark = re.findall(r":root \{(.*?)\n\s*\}", _CSS.read_text(encoding="utf-8"), re.DOTALL)[:2]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9A-F]{6});", light))
    for scheme in (colours, colours | dict(re.findall(r"--([\w-]+): (#[0-9A-F]{6});", dark))):
        pairs = [(text, ground) for text in ("ink", "muted", "green", "brick") for ground in ("paper", "surface")]
        for text, ground in [*pairs, ("on-green", "green"), ("ink", "gold")]:
            one, other = sorted((_luminance(scheme[text]), _luminance(scheme[ground])), reverse=True)
            assert (one + 0.05) / (other + 0.05) >= 4.5, (text, ground, scheme[text])


def test_the_dark_scheme_is_worn_where_the_reader_wants_it(browser: Browser, site: str) -> None:
    wish = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)
    browser.get(site)
    ground = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert re.findall(r"\d+", ground)[:3] == ["22", "26", "23"]


def test_a_result_page_weighs_less_than_sixty_kilobytes_on_the_wire(browser: Browser, site: str) -> None:
    browser.get(f"{site}/search?q=padi&facet=author")
    parts = browser.execute_script(
        """return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
           .map(entry => [entry.name, entry.encodedBodySize])"""
    )
    assert len(parts) >= 3
    assert sum(size for _, size in parts) < 60_000, parts
