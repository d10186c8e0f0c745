"""What a reader gets for a search."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask.testing import FlaskClient
from sample_network import Network, Page


def query_of(path: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(path).query)


def test_hits_name_the_work_its_people_and_its_holders_each_with_a_link(client: FlaskClient, network: Network) -> None:
    page = Page(client, "/search?q=batik+pesisir")
    assert page.titles() == ["Batik Pesisir: Sejarah & Makna <Motif>"]
    (title,) = page.tree.xpath("//h2/a")
    assert title.get("href") == f"/record/{network.id_of('batik')}"
    assert title.get("lang") == "id"
    assert "2019 · Article · Indonesian" in page.text('//li[@class="hit"]/p[@class="facts"]')
    assert page.links('//p[@class="holders"]/a') == {
        "Perpustakaan Alfa": "https://alfa.example/batik/1",
        "Repositori Beta": "https://beta.example/b/7",
    }
    assert {text.split(":")[0]: path for text, path in page.links('//p[@class="ways"]/a').items()} == {
        "Cite": f"/record/{network.id_of('batik')}#cite",
        "At the member": "https://alfa.example/batik/1",
    }


def test_matches_are_marked_in_title_and_snippet_by_stem(client: FlaskClient) -> None:
    page = Page(client, "/search?q=penelitian+batik")
    assert "Batik" in page.texts("//h2//mark")
    assert "Penelitian" in page.texts('//p[@class="snippet"]//mark')


def test_a_choice_narrows_and_its_chip_takes_it_back(client: FlaskClient) -> None:
    page = Page(client, "/search?q=padi")
    (book,) = page.tree.xpath('//section[@aria-labelledby="facet-type"]//a[contains(., "Book")]')
    count = int(book.xpath('string(.//span[@class="count"])'))
    narrowed = Page(client, book.get("href"))
    assert narrowed.total() == count < page.total()
    chips = narrowed.links('//ul[contains(@class, "chips")]//a')
    assert list(chips) == ["Remove Type: Book ×"]
    assert Page(client, chips["Remove Type: Book ×"]).total() == page.total()


def test_two_values_of_one_facet_are_alternatives_and_two_facets_add_up(client: FlaskClient) -> None:
    book, thesis, both = (Page(client, f"/search?q=padi&{types}").total() for types in
                          ("type=book", "type=thesis", "type=book&type=thesis"))  # fmt: skip
    assert book + thesis == both
    assert Page(client, "/search?q=padi&type=book&language=en").total() < book


def test_the_form_keeps_the_chosen_filters(client: FlaskClient) -> None:
    page = Page(client, "/search?q=padi&type=book&member=alfa&year=2000-2010&sort=oldest")
    hidden = page.tree.xpath('//form[@role="search"]//input[@type="hidden"]')
    assert {(field.get("name"), field.get("value")) for field in hidden} == {
        ("type", "book"), ("member", "alfa"), ("year", "2000-2010"), ("sort", "oldest"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("year=2000", 2), ("year=2000-2001", 4), ("year=2021-", 4), ("year=-1999", 4), ("year=2000&year=2001", 4),
        ("year_from=2000&year_to=2001", 4), ("year_from=2001&year_to=2000", 4), ("year_from=&year_to=", 50),
        ("year=abc", 50), ("year=99999", 50), ("year=-", 50),
    ],
)  # fmt: skip
def test_years_are_read_in_every_form_and_nonsense_is_left_out(client: FlaskClient, query: str, total: int) -> None:
    assert Page(client, f"/search?q=padi+nomor&{query}").total() == total


def test_years_named_one_by_one_are_those_years_and_nothing_between_them(client: FlaskClient) -> None:
    page = Page(client, "/search?q=padi+nomor&year=2000&year=2003")
    assert page.total() == 4
    chips = page.links('//ul[contains(@class, "chips")]//a')
    assert chips["Remove Year: 2000 ×"] == "/search?q=padi+nomor&year=2003"
    assert len(page.tree.xpath('//*[local-name()="rect" and @class="chosen"]')) == 2
    counts = client.get("/api/search?q=padi+nomor&year=2000&year=2003").get_json()
    assert (counts["total"], len(counts["facets"]["year"])) == (4, 25)
    assert sum(bucket["count"] for bucket in counts["facets"]["type"]) == 4
    assert Page(client, "/search?q=padi+nomor&year=2000&year=2003&year_from=2000&year_to=2003").total() == 8


@pytest.mark.parametrize("text", ["😀", '"', "(((", "AND"])
def test_a_text_without_words_says_that_everything_is_shown(client: FlaskClient, text: str) -> None:
    page = Page(client, "/search?" + urlencode({"q": text}))
    assert page.total() == 58
    assert page.text('//p[@class="note"]') == "There is no word in it that can be searched; these are all works."
    assert not Page(client, "/search?q=padi").tree.xpath('//p[@class="note"]')


def test_a_hit_that_matches_elsewhere_says_where(client: FlaskClient) -> None:
    page = Page(client, "/search?q=universitas+alfa")
    assert page.texts('//li[@class="hit"]/p[@class="facts"]')[1:] == ["Publisher: Universitas Alfa"]
    assert page.texts('//li[@class="hit"]//mark') == ["Universitas", "Alfa"]


def test_the_histogram_has_a_bar_for_every_year_with_works(client: FlaskClient) -> None:
    page = Page(client, "/search?q=padi+nomor&year=2003")
    bars = page.tree.xpath('//*[contains(@class, "bars")]//*[local-name()="title"]')
    assert len(bars) == 25
    assert bars[0].text == "1998: 2"
    assert len(page.tree.xpath('//*[local-name()="rect" and @class="chosen"]')) == 1


def test_pages_follow_each_other_without_gap_or_repetition(client: FlaskClient) -> None:
    page = Page(client, "/search?q=padi+nomor&sort=title")
    seen: list[str] = []
    sizes = []
    while True:
        sizes.append(len(page.titles()))
        seen += page.titles()
        following = page.tree.xpath('//a[@rel="next"]/@href')
        if not following:
            break
        page = Page(client, following[0])
        assert page.tree.xpath('//a[@rel="first"]/@href') == ["/search?q=padi+nomor&sort=title"]
    assert sizes == [20, 20, 10]
    assert len(set(seen)) == 50
    assert "This is the last page." in page.answer.text


def test_a_cursor_that_is_not_ours_leads_to_the_first_page_with_a_note(client: FlaskClient) -> None:
    page = Page(client, "/search?q=padi&cursor=%00nonsense")
    assert len(page.titles()) == 20
    assert "no longer known" in page.text('//p[@class="note"]')


def test_authors_are_counted_only_where_they_are_opened(client: FlaskClient) -> None:
    closed = Page(client, "/search?q=padi")
    assert not closed.tree.xpath('//section[@aria-labelledby="facet-author"]')
    opened = Page(client, closed.links()["Show authors"])
    assert opened.tree.xpath('//section[@aria-labelledby="facet-author"]//a')


def test_full_text_can_be_asked_for(client: FlaskClient, network: Network) -> None:
    page = Page(client, "/search?q=padi&fulltext=1")
    assert page.total() == 1
    assert page.links("//h2/a") == {"Panen padi nomor 1 di desa Sukamaju": f"/record/{network.id_of('padi-1')}"}
    (way,) = page.tree.xpath('//p[@class="ways"]/a[starts-with(., "Full text")]')
    assert way.get("href") == f"/record/{network.id_of('padi-1')}"


def test_nothing_found_says_what_was_searched_and_how_to_go_on(client: FlaskClient) -> None:
    page = Page(client, "/search?q=irigsi&type=book&member=alfa")
    assert page.text('//div[@class="nothing"]/h2') == "No work was found for irigsi"
    links = page.links('//div[@class="nothing"]//a')
    assert query_of(links["irigasi"]) == {"q": ["irigasi"], "type": ["book"], "member": ["alfa"]}
    assert len(page.tree.xpath('//ul[contains(@class, "chips")]//a')) == 3


def test_filters_that_leave_nothing_can_be_dropped_at_once(client: FlaskClient) -> None:
    page = Page(client, "/search?q=padi+nomor&type=video")
    assert page.links('//div[@class="nothing"]//a')["Search without filters: 50 works"] == "/search?q=padi+nomor"


def test_without_words_everything_is_listed_newest_first(client: FlaskClient) -> None:
    page = Page(client, "/search")
    assert page.total() == 58
    facts = page.texts('//li[@class="hit"]/p[@class="facts"]')
    years = [int(part) for fact in facts for part in fact.split(" · ") if part.isdigit()]
    assert len(years) == 20
    assert years == sorted(years, reverse=True)


SPECIAL = '"\'()[]{}<>*?:;,.!@#$%^&*_+-=~`|\\/ \x00\x1f\u202e😀 AND OR NOT title: year: author:" -( )'


@pytest.mark.parametrize(
    "args",
    [
        {"q": SPECIAL}, {"q": "x" * 100_000}, {"q": "a b " * 25_000}, {"q": "(" * 500}, {"q": '"'}, {"q": "*"},
        {"q": "padi", "sort": "'; DROP TABLE"}, {"q": "padi", "type": SPECIAL}, {"q": "padi", "member": "nobody"},
        {"q": "padi", "year": "9" * 5000}, {"q": "padi", "subject": "x" * 10_000}, {"q": "padi", "facet": "<x>"},
        {"q": "padi", "cursor": "x" * 100_000}, {"q": "padi", "nonsense": "1"}, {"q": "padi", "page": "-1"},
        {"q": "padi", "fulltext": "maybe"}, {"q": "padi", "size": "1000000"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("root", ["/search", "/api/search"])
def test_no_parameter_gives_an_error_page(client: FlaskClient, args: dict[str, str], root: str) -> None:
    answer = client.get(f"{root}?{urlencode(args)}")
    assert answer.status_code == 200
    assert len(answer.data) < 100_000


def test_a_hundred_values_of_one_facet_are_no_error(client: FlaskClient) -> None:
    assert Page(client, "/search?" + "&".join(f"subject=s{n}" for n in range(100)))


def test_a_result_page_weighs_less_than_sixty_kilobytes(client: FlaskClient) -> None:
    page = Page(client, "/search?q=penelitian+padi&type=book&type=thesis&member=alfa")
    weight = len(page.answer.data)
    for path in page.tree.xpath('//link[@rel="stylesheet" or @rel="icon"]/@href | //script/@src'):
        part = client.get(path)
        assert part.status_code == 200
        weight += len(part.data)
    assert weight < 60_000
