"""One tree of errors; each leaf tells the caller what to do next.

LumbungError
├── ConfigError              the settings or the command are wrong: say how to mend them, exit 2
├── MemberError              a member did not do what it should: this harvest ends, the others go on
│   ├── UnreachableError     no answer: try again later
│   ├── ThrottledError       asked to wait: try again after `retry_after` seconds
│   ├── RefusedError         the server says no (401, 403, a challenge page): a person must talk to it
│   ├── MalformedResponseError   the bytes are not an OAI-PMH response: they are kept, the list is incomplete
│   ├── ProtocolError        a well-formed OAI-PMH error, by its code
│   └── TokenLoopError       the list makes no progress: it would never end
├── RecordError              one record is unusable: counted, listed, skipped; its page stays
├── ArchiveError             the archive is not available (absent objects are `ObjectNotFoundError`)
│   └── ObjectNotFoundError  the archive answered: there is no such object
├── CatalogueError           the catalogue is not available, or refuses
│   ├── CatalogueUnavailableError   its server cannot be reached just now: wait, and go on
│   └── HarvestSupersededError   another process harvests this member now: stop, write nothing more
├── EngineError
│   ├── QueryRejectedError       the engine cannot answer this query: the reader must change it
│   ├── EngineUnavailableError   the index cannot be reached: 503, try again
│   ├── EngineBusyError          another process writes to the index: do it again when that is done
│   └── SchemaChangedError       the index was built for another schema: rebuild it
├── MailError                the mail server did not take a letter: try it again later
└── OaiError                 an answer of our own OAI-PMH endpoint, by its code
"""


class LumbungError(Exception):
    """Any error that Lumbung names; its text is one sentence for a person."""


class ConfigError(LumbungError):
    """The settings or the command line are wrong; the text says how to mend them."""


class MemberError(LumbungError):
    """A member's server did not do what the protocol promises.

    Args:
        message: what happened, in one sentence.
        url: the request that failed.
        problem: which of `harvester.problems` it is, where its kind alone does not say.
    """

    def __init__(self, message: str, *, url: str = "", problem: str = "") -> None:
        super().__init__(f"{message} [{url}]" if url else message)
        self.url = url
        self.problem = problem


class UnreachableError(MemberError):
    """No answer came: no connection, a time-out, or a server error that outlived the retries."""


class ThrottledError(MemberError):
    """The server asks for a pause of `retry_after` seconds that is longer than we may wait now."""

    def __init__(self, message: str, *, url: str = "", retry_after: float) -> None:
        super().__init__(message, url=url)
        self.retry_after = retry_after


class RefusedError(MemberError):
    """The server understood and said no; trying again without a person's help is of no use."""


class MalformedResponseError(MemberError):
    """What came is not an OAI-PMH response; its bytes are in the archive."""


class ProtocolError(MemberError):
    """The server answered with an OAI-PMH error. Spec: 3.6."""

    def __init__(self, code: str, message: str, *, url: str = "", response_date: str = "") -> None:
        super().__init__(f"{code}: {message}" if message else code, url=url)
        self.code = code
        self.response_date = response_date


class TokenLoopError(MemberError):
    """The same resumptionToken, or the same page, came twice: the list would never end."""


class IncompleteListError(MemberError):
    """The list ended early: fewer records came than the server promised, or the operator stopped it."""


class RecordError(LumbungError):
    """One record of a page is unusable; the rest of its page is not."""


class ArchiveError(LumbungError):
    """The archive could not be read or written."""


class ObjectNotFoundError(ArchiveError):
    """The archive was reached and holds no object under this key."""


class CatalogueError(LumbungError):
    """The catalogue could not be read or written."""


class CatalogueUnavailableError(CatalogueError):
    """The catalogue's server cannot be reached just now; it may be back within moments."""


class HarvestSupersededError(CatalogueError):
    """Another process has taken over the harvest of this member."""


class EngineError(LumbungError):
    """The search engine could not do what was asked."""


class QueryRejectedError(EngineError):
    """The engine cannot answer this query; the text says what to change."""


class EngineUnavailableError(EngineError):
    """The index cannot be reached or does not exist yet; trying again later may help."""


class EngineAwayError(EngineUnavailableError):
    """The search server cannot be reached just now; its index may be well."""


class EngineBusyError(EngineError):
    """Another process writes to the index, or has replaced it meanwhile; nothing of this write was done."""


class SchemaChangedError(EngineError):
    """The index was built for another schema; `lumbung reindex` builds a new one."""


class MailError(LumbungError):
    """The mail server cannot be reached, or did not take a letter; `refused` says that it never will take this one."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class OaiError(LumbungError):
    """An error that our own OAI-PMH endpoint answers with. Spec: 3.6."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
