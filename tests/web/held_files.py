"""Files of the small network's records, in its real archive and catalogue as a search for them leaves them."""

from __future__ import annotations

from hashlib import sha256

from sqlalchemy import select, update

from harvester.archive import file_key, open_archive
from harvester.catalogue import Catalogue
from harvester.catalogue.files import File, follow_records, put_file, put_text
from harvester.catalogue.tables import fulltexts, records
from harvester.settings import Settings

PDF = "application/pdf"


def number_of(catalogue: Catalogue, identifier: str) -> int:
    """The number of the record of this OAI identifier."""
    with catalogue.read() as connection:
        return int(connection.execute(select(records.c.id).where(records.c.identifier == identifier)).scalar_one())


def put_held(
    settings: Settings,
    catalogue: Catalogue,
    identifier: str,
    *files: tuple[str, bytes, str],
    state: str = "text",
    page_starts: tuple[int, ...] = (0, 10),
    now: int,
) -> list[str]:
    """The record has these files: (address, bytes, media type); their checksums."""
    archive, number, checksums = open_archive(settings.archive_url), number_of(catalogue, identifier), []
    with catalogue.write() as connection:
        while follow_records(connection, now):
            pass
        for position, (url, body, media_type) in enumerate(files):
            checksum = sha256(body).hexdigest()
            archive.put(file_key(checksum), body)
            about = {"sha256": checksum, "media_type": media_type, "size": len(body), "fetched_at": now}
            put_file(connection, File(number, position, url, "text", "metadata", "kept", now, **about))  # type: ignore[arg-type]  # each as its field
            put_text(connection, checksum, state, now, page_starts=page_starts, characters=20)
            checksums.append(checksum)
        held = {"state": "held", "rung": "metadata", "checked_at": now, "next_check": now + 86_400}
        connection.execute(update(fulltexts).where(fulltexts.c.record_id == number).values(held))
    return checksums
