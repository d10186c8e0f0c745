"""Every record of the catalogue in itself, with its works, and with what the index shows of them; each is read once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harvester.catalogue import Catalogue
from harvester.catalogue import works as sql
from harvester.catalogue.files import list_copies
from harvester.catalogue.inventory import (
    StoredForm,
    StoredRecord,
    get_records,
    list_forms,
    list_orphans,
    list_records,
)
from harvester.catalogue.takedowns import find_records_down
from indexer.document import Document
from indexer.engine import Engine
from indexer.engine.schema import unpack
from indexer.reading import Reader, Reading, open_reader
from indexer.texts import Copies
from indexer.tiers.differences import Difference, Found
from indexer.tiers.documents import Standing, get_standing
from indexer.unite import unite
from indexer.works import find_moves

_AT_ONCE = 500
_AHEAD = 3  # parts that other processes read, while one is compared
_NO_INDEX = 2**63


@dataclass(frozen=True, slots=True)
class _Part:
    """Some records whose payloads are being read, and all others of works that begin with one of them.

    `heads` are the public ids of these works; `found` what their own rows show already.
    """

    numbers: Sequence[int]
    heads: Mapping[int, str]
    readings: Iterable[Reading]
    found: list[Found] = field(default_factory=list)


def compare_records(
    catalogue: Catalogue, engine: Engine | None, this_year: int, expected: int, count: Callable[[int], None]
) -> Iterator[list[Found]]:
    """What differs in about so many records, some at a time and looked at twice; without an engine, in no index.

    `count` hears of records looked at. What was changed since its work was decided is left to the next build.
    """
    with open_reader(catalogue, this_year, expected) as read:
        look = _Look(catalogue, engine, read)
        ahead: deque[_Part] = deque()
        after: int | None = 0
        while True:
            while after is not None and len(ahead) < _AHEAD:
                part, after = look.begin_behind(after)
                ahead.append(part)
            if not ahead:
                return
            part = ahead.popleft()
            if found := look.judge(part):
                again = look.judge(look.begin(part.numbers)) if part.numbers else found
                yield [each for each in found if each in again or each.record is None]
            count(len(part.numbers))


class _Look:
    def __init__(self, catalogue: Catalogue, engine: Engine | None, read: Reader) -> None:
        self._catalogue = catalogue
        self._engine = engine
        self._read = read

    def begin_behind(self, after: int) -> tuple[_Part, int | None]:
        """The next records, and the number of the last; None where there are no more."""
        with self._catalogue.read() as connection:
            numbers = [record.number for record in list_records(connection, after, _AT_ONCE)]
            last = numbers[-1] if numbers else None
            orphans = list_orphans(connection, after, last)
        part = self.begin(numbers)
        part.found.extend(Found(Difference("record-missing", "", str(number)), number) for number in orphans)
        return part, last

    def begin(self, numbers: Sequence[int]) -> _Part:
        """These records' own rows are judged, and what else is wanted of them is being read."""
        with self._catalogue.read() as connection:
            records = {record.number: record for record in get_records(connection, numbers=numbers)}
            heads = {each.number: each.public_id for each in records.values() if each.work == each.number}
            held = {each.number for each in get_records(connection, works=heads)} | records.keys()
            forms = list_forms(connection, held)
            down = find_records_down(connection, records)
        broken = {form.record for form in forms if not form.whole}
        found = [
            Found(
                Difference("payload-damaged", record.member, record.identifier, form.prefix), form.record, record, form
            )
            for form in forms
            if not form.whole and (record := records.get(form.record))
        ]
        found += _judge_states(records.values(), forms, down)
        return _Part(list(records), heads, self._read(sorted(held - broken)), found)

    def judge(self, part: _Part) -> list[Found]:
        """What differs in these records."""
        readings = {reading.record: reading for reading in part.readings}
        watermark, indexed = _NO_INDEX, dict[int, Document | None]()
        if self._engine is not None:  # asked before the catalogue, it is not ahead of that
            watermark = self._engine.watermark()
            indexed = {number: self._engine.get(public_id) for number, public_id in part.heads.items()}
        with self._catalogue.read() as connection:
            records = get_records(connection, numbers=part.numbers)
            standing = get_standing(connection, part.heads)
            wanted = {
                each.number: readings[each.number].keys
                for each in records
                if standing.is_assigned(each) and _is_current(each, readings)
            }
            stored = sql.get_match_keys(connection, wanted)
            moves = find_moves(connection, wanted) if wanted else {}
            held = {each.number for head in part.heads for each in standing.holders.get(head, ())}
            copies = Copies(list_copies(connection, held, page_starts=False), self._catalogue.now())
        found = list(part.found)
        for each in records:
            keys = wanted.get(each.number)
            if keys is None:
                continue
            reading = readings[each.number]
            if set(keys) != set(stored.get(each.number, ())):
                found.append(Found(_of(each, "keys-wrong"), each.number, each, reading=reading))
            elif each.number in moves:
                found.append(Found(_of(each, "work-wrong"), each.number, each, reading=reading))
            elif each.number in part.heads and standing.is_settled(each.number, watermark):
                found += _judge_work(each, standing, readings, copies, indexed.get(each.number))
        return found


def _of(record: StoredRecord, kind: str) -> Difference:
    return Difference(kind, record.member, record.identifier)


def _is_current(record: StoredRecord, readings: Mapping[int, Reading]) -> bool:
    return record.number in readings and readings[record.number].datestamp == record.datestamp


def _judge_states(
    records: Iterable[StoredRecord], forms: Iterable[StoredForm], down: Collection[int]
) -> Iterator[Found]:
    """Records that are not as live as their forms, or live though they were taken down."""
    living: dict[int, bool] = {}
    for form in forms:
        is_alive = not form.deleted and form.record not in down
        living[form.record] = living.get(form.record, False) or is_alive
    for record in records:
        alive = living.get(record.number)
        if alive is None:
            if not record.deleted:
                yield Found(_of(record, "payload-missing"), record.number, record)
        elif alive == record.deleted:
            yield Found(_of(record, "state-wrong"), record.number, record)


def _judge_work(
    head: StoredRecord, standing: Standing, readings: Mapping[int, Reading], copies: Copies, indexed: Document | None
) -> Iterator[Found]:
    """What differs in a work that is settled; that the index does not have it is found by its id."""
    live = [each for each in standing.holders.get(head.number, ()) if not each.deleted]
    if head.deleted or not all(_is_current(each, readings) for each in live):
        return
    if head.number not in standing.changes:
        difference = Difference("work-unlisted", head.member, head.public_id, head.identifier)
        yield Found(difference, head.number, head)
    if indexed is None:
        return
    read = [readings[each.number] for each in live]
    documents = [copies.mark(unpack(reading.entry.document), reading) for reading in read if reading.entry]
    if unite(documents, public_id=head.public_id) != indexed:
        difference = Difference("document-differs", head.member, head.public_id, head.identifier)
        yield Found(difference, head.number, head)
