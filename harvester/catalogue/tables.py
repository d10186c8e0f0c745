"""The catalogue's tables: the truth about state. Migrations in `migrations/` make and change them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Times are seconds since 1970, UTC; a "datestamp" is ours unless it says source.
BigId = BigInteger().with_variant(Integer, "sqlite")

clock = Table(
    "clock",
    metadata,
    Column("id", SmallInteger, primary_key=True),
    Column("closed", BigInteger, nullable=False),  # no commit gets this second or an earlier one
    Column("last", BigInteger, nullable=False),  # the newest datestamp that was given
)

members = Table(
    "members",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("slug", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("prefixes", JSON, nullable=False),
    Column("sets", JSON, nullable=False),
    Column("fulltext", Boolean, nullable=False),
    Column("added_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
    # Counted with each commit: a catalogue of millions is not read to show a status.
    Column("live", BigInteger, nullable=False, default=0),
    Column("tombstones", BigInteger, nullable=False, default=0),
    # When and how it is asked. Hosts, not members, are asked one thing at a time.
    Column("host", String(255), nullable=False, server_default="", index=True),
    Column("paused", Boolean, nullable=False, server_default=false()),
    Column("rule", String(64), nullable=False, server_default="1d"),  # an interval, or five fields of cron
    Column("window", String(11)),  # 23:00-04:00 in its time zone; None: always
    Column("timezone", String(64), nullable=False, server_default="Asia/Jakarta"),
    Column("delay", Float, nullable=False, server_default="0"),  # seconds between two requests
    Column("insecure_until", BigInteger),  # its certificate is not verified until then
    Column("next_run", BigInteger),  # None: as soon as may be
    Column("failures", Integer, nullable=False, server_default="0"),  # in a row
    # What Identify says.
    Column("contact", Text),
    Column("deletion", String(16)),
    Column("region", String(64)),  # where it is, as a slug; None: nobody has said
    # Who is told, and when: never, failure, always, monthly.
    Column("mail_to", Text),
    Column("mail", String(8), nullable=False, server_default="failure"),
    Column("mailed_at", BigInteger),
    # Reconciliation: how often, how long a vanished record waits, and the drop in percent that halts.
    Column("reconcile_days", Integer, nullable=False, server_default="30"),
    Column("pending_days", Integer, nullable=False, server_default="14"),
    Column("max_drop", Integer, nullable=False, server_default="10"),
    Column("next_reconcile", BigInteger),
    Column("halted", Text),  # why deletions wait for a person
    Index(None, "paused", "next_run", "host"),  # who is due
    Index(None, "removed_at", "name", "id"),  # pages of the members by name
)

# What a member's server does against the protocol, and how it is asked because of it.
quirks = Table(
    "quirks",
    metadata,
    Column("member_id", ForeignKey("members.id"), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("value", Text, nullable=False),
    Column("found_at", BigInteger, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("set_by", String(16), nullable=False),  # harvester, operator
)

# Who asks a host now. A dead owner's lease runs out.
leases = Table(
    "leases",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("owner", String(120), nullable=False),
    Column("until", BigInteger, nullable=False, index=True),
)

# What the worker does now and then for the whole network.
jobs = Table(
    "jobs",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("next_run", BigInteger, nullable=False),
    Column("owner", String(120)),
    Column("until", BigInteger),
    Column("last_run", BigInteger),
    Column("error", Text),
)

# One list = one metadata prefix and one set of a member: its watermark, and how far an unfinished pass came.
lists = Table(
    "lists",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("member_id", ForeignKey("members.id"), nullable=False),
    Column("prefix", String(64), nullable=False),
    Column("set_spec", String(512), nullable=False),  # empty: no set asked for
    Column("base_url", Text, nullable=False),  # a watermark holds for the server that gave it
    Column("watermark", String(20)),  # `from` of the next pass; None: everything
    Column("harvest_id", Integer),  # who may write this list now
    Column("token", Text),  # where an unfinished pass goes on
    Column("pass_from", String(20)),
    Column("pass_started", String(40)),  # when the pass's first page was made
    Column("pass_received", Integer, nullable=False, default=0),
    Column("pass_size", Integer),
    Column("reached", String(40)),  # the newest datestamp, while each page begins where the one before ended
    # A list that cannot be had in one piece: the date windows that are still to come, and what the others gave.
    Column("windows", JSON(none_as_null=True)),
    Column("restarts", Integer, nullable=False, server_default="0"),  # of this pass, its token refused
    Column("reconcile_token", Text),  # where an unfinished ListIdentifiers goes on
    UniqueConstraint("member_id", "prefix", "set_spec"),
)

# The identifiers that a reconciliation in progress was shown: of each the latest live and the latest deleted copy.
listed = Table(
    "listed",
    metadata,
    Column("list_id", ForeignKey("lists.id"), primary_key=True),
    Column("identifier", Text, primary_key=True),
    Column("deleted", Boolean, primary_key=True, server_default=false()),
    Column("datestamp", String(40), nullable=False, server_default=""),  # verbatim
    Column("changed", Boolean, nullable=False, server_default=false()),  # as no harvest has brought it
)

# Live records that a complete list did not show; gone when `due_at` comes, unless a person keeps them.
vanished = Table(
    "vanished",
    metadata,
    Column("record_id", ForeignKey("records.id"), primary_key=True),
    Column("prefix", String(64), primary_key=True),
    Column("member_id", ForeignKey("members.id"), nullable=False, index=True),
    Column("missed_at", BigInteger, nullable=False),  # by the first complete list without it
    Column("times", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("kept_at", BigInteger),
)

# The landing link of each record: when it is checked again, and how it answered.
links = Table(
    "links",
    metadata,
    Column("record_id", ForeignKey("records.id"), primary_key=True),
    Column("member_id", ForeignKey("members.id"), nullable=False),
    Column("url", Text),  # as checked; None: not yet, or there is none
    Column("checked_at", BigInteger),
    Column("next_check", BigInteger, nullable=False),
    Column("strikes", SmallInteger, nullable=False),  # days in a row without an answer, three at most: dead
    Column("reason", String(16)),  # of the newest strike
    Column("since", BigInteger),  # the first strike
    Column("turned_at", BigInteger),  # when it was found dead, or to live again
    Index(None, "member_id", "next_check"),
    Index(None, "member_id", "strikes"),
)

# The newest daily count of each member's links.
link_reports = Table(
    "link_reports",
    metadata,
    Column("member_id", ForeignKey("members.id"), primary_key=True),
    Column("made_at", BigInteger, nullable=False),
    *(Column(count, Integer, nullable=False) for count in ("alive", "dead", "newly_dead", "recovered")),
)

harvests = Table(
    "harvests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("member_id", ForeignKey("members.id"), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("outcome", String(24)),  # None while it runs
    Column("from_", String(20)),
    Column("until", String(20)),
    *(
        Column(count, Integer, nullable=False, default=0)
        for count in ("requests", "pages", "records", "added", "changed", "unchanged", "deleted", "failed")
    ),
    Column("bytes", BigInteger, nullable=False, default=0),
    Column("error", Text),
    Column("kind", String(12), nullable=False, server_default="harvest"),  # or reconcile
    Column("heartbeat", BigInteger),  # the last sign of progress
    Column("first_url", Text),
    Column("last_url", Text),
    Column("response_date", String(40)),  # of the first answer
    Column("retries", Integer, nullable=False, server_default="0"),
    Column("error_url", Text),
    Column("error_key", Text),  # the archived answer
    Column("mailed_at", BigInteger),
    Index(None, "member_id", "id"),
)

pages = Table(
    "pages",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("harvest_id", ForeignKey("harvests.id"), nullable=False),
    Column("list_id", Integer),
    Column("archive_key", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("fetched_at", BigInteger, nullable=False),
    Column("response_date", String(40), nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("size", Integer, nullable=False),
    Column("records", Integer, nullable=False),
    Column("error", Text),
    Index(None, "harvest_id"),
)

problems = Table(
    "problems",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("harvest_id", ForeignKey("harvests.id"), nullable=False),
    Column("page_id", BigInteger),
    Column("code", String(40), nullable=False, server_default="unusable-record"),  # of `harvester.problems`
    Column("identifier", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Index(None, "harvest_id"),
)

records = Table(
    "records",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("public_id", BigInteger, nullable=False, unique=True),
    Column("member_id", ForeignKey("members.id"), nullable=False),
    Column("identifier", Text, nullable=False),
    Column("work_id", BigInteger, nullable=False),
    Column("datestamp", BigInteger, nullable=False),
    Column("added", BigInteger, nullable=False),
    Column("source_datestamp", String(40), nullable=False),
    Column("deleted", Boolean, nullable=False),
    UniqueConstraint("member_id", "identifier"),
    Index(None, "datestamp", "id"),
    Index(None, "work_id"),
)

# The current payload of a record in each metadata format that its member gives.
forms = Table(
    "forms",
    metadata,
    Column("record_id", BigInteger, primary_key=True),
    Column("prefix", String(64), primary_key=True),
    Column("page_id", BigInteger, nullable=False),
    Column("hash", LargeBinary(16), nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("set_specs", Text, nullable=False),  # one a line
    Column("xml", LargeBinary),  # zstd
    Column("abouts", LargeBinary),  # zstd, the containers' payloads apart by NUL
)

# What joins records of different members into one work, and which works an index must look at again.
match_keys = Table(
    "match_keys",
    metadata,
    Column("record_id", BigInteger, primary_key=True),
    Column("key", String(200), primary_key=True),
    Index(None, "key"),
)

work_changes = Table(
    "work_changes",
    metadata,
    Column("work_id", BigInteger, primary_key=True, autoincrement=False),
    Column("change", BigInteger, nullable=False, index=True),
)

# What is known of each record's full text: whether files of it are kept, why not, and when it is looked for again.
fulltexts = Table(
    "fulltexts",
    metadata,
    Column("record_id", ForeignKey("records.id"), primary_key=True),
    Column("member_id", ForeignKey("members.id"), nullable=False),
    Column("state", String(12), nullable=False),  # due, held, missing, withheld
    Column("reason", String(20)),  # why there is none, or of the newest strike
    Column("url", Text),  # that the reason is about
    Column("rung", String(16)),  # by which the files were found
    Column("checked_at", BigInteger),
    Column("next_check", BigInteger, nullable=False),
    Column("regular", BigInteger, nullable=False),  # when it would be due had its record not changed
    Column("strikes", SmallInteger, nullable=False),  # days in a row that brought nothing, three at most
    Column("since", BigInteger),  # the first strike
    Column("clue", String(32)),  # hash of what the record said of its files then
    Index(None, "member_id", "next_check"),
    Index(None, "member_id", "state", "reason"),
)

# The files of each record, in reading order; equal ones of several records are one object of the archive.
files = Table(
    "files",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("record_id", ForeignKey("records.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("url", Text, nullable=False),
    Column("led_to", Text),  # where redirects led when it was fetched
    Column("role", String(12), nullable=False),  # text, front, back, supplement, licence, thumbnail
    Column("rung", String(16), nullable=False),
    Column("state", String(12), nullable=False),  # kept, failed, left, gone
    Column("reason", String(20)),
    Column("sha256", String(64), index=True),
    Column("media_type", String(100)),
    Column("size", BigInteger),
    Column("fetched_at", BigInteger),
    Column("last_checked", BigInteger, nullable=False),
    Column("etag", Text),
    Column("last_modified", Text),
    Column("attempts", Integer, nullable=False),  # in vain, in a row
    Index(None, "record_id", "position"),
)

# What each kept file says, by its checksum; the text itself is in the archive.
texts = Table(
    "texts",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("state", String(12), nullable=False, index=True),  # unread, text, scanned, encrypted, ...
    Column("media_type", String(100), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("language", String(3)),
    Column("pages", Integer),
    Column("page_starts", JSON(none_as_null=True)),
    Column("characters", BigInteger),
    Column("read_at", BigInteger),
    Column("verified_at", BigInteger, nullable=False, index=True),  # when the archive was last seen to hold it whole
)

# How often each way of finding files was tried at a member, and how often files came of it.
rungs = Table(
    "rungs",
    metadata,
    Column("member_id", ForeignKey("members.id"), primary_key=True),
    Column("rung", String(16), primary_key=True),
    Column("tried", BigInteger, nullable=False),
    Column("found", BigInteger, nullable=False),
)

# What must not be shown nor fetched: a record with all its files, or a file wherever it came from. Kept for ever.
takedowns = Table(
    "takedowns",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("record_id", ForeignKey("records.id"), index=True),
    Column("sha256", String(64), index=True),
    Column("note", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("lifted_at", BigInteger),
    Column("lifted_note", Text),
    Column("redacted_upto", Text, nullable=False, server_default=""),  # the last archived page that was looked at
)

# How far a reader of the records table came: (datestamp, id), both inclusive.
cursors = Table(
    "cursors",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("datestamp", BigInteger, nullable=False),
    Column("record_id", BigInteger, nullable=False),
)

MOVED = "region-"  # before a member's number, the name of a cursor: its rows in the feed get a new datestamp

# What re-harvesters are shown: each record as it was when it was last prepared for them, in the order of `datestamp`.
feed = Table(
    "feed",
    metadata,
    Column("record_id", BigInteger, primary_key=True, autoincrement=False),
    Column("public_id", BigInteger, nullable=False),
    Column("member_id", Integer, nullable=False),
    Column("datestamp", BigInteger),  # None: never shown, as it is a copy of what is shown
    Column("deleted", Boolean, nullable=False),
    Column("type", String(12), nullable=False),
    Column("open", Boolean, nullable=False),
    # Of a live record: what names it at its origin, hashed, and over how many aggregators it came. None for what is
    # never shown: ours, come back.
    Column("origin", BigInteger, index=True),
    Column("distance", SmallInteger, nullable=False),
    Column("hash", LargeBinary(16), nullable=False),  # of what is made of it by rules of ours
    Column("payload", LargeBinary),  # zstd: metadata and about containers in oai_dc; None for a deleted one
    Index(None, "datestamp", "record_id"),
    Index(None, "member_id", "datestamp", "record_id"),
    Index(None, "type", "datestamp", "record_id"),
    Index(
        "ix_feed_open",
        "datestamp",
        "record_id",
        sqlite_where=text("open"),
        postgresql_where=text("open"),
    ),
)

# How many rows each set of the feed has that were ever shown: (), member and its number, type and which, access: open.
feed_counts = Table(
    "feed_counts",
    metadata,
    Column("kind", String(8), primary_key=True),
    Column("value", String(12), primary_key=True),
    Column("rows", BigInteger, nullable=False),
)

# The metadata formats that members gave anything in, each with what its first payload said of itself.
feed_formats = Table(
    "feed_formats",
    metadata,
    Column("prefix", String(64), primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("schema", Text, nullable=False),
)
