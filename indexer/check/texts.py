"""What each rule of a check asks for, why it matters, and how it is mended: the one table of these texts.

The names of the rules are stable, and near to those of BASE's validator OVAL and of the guidelines of OpenAIRE, DRIVER
and CORE. `web` shows the texts in the reader's language; they are marked for its catalogue by `_`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuleText:
    """The texts of a rule, in English."""

    what: str
    why: str
    mend: str


def _(text: str) -> str:
    """The text as it is; marks it for translation."""
    return text


TEXTS: dict[str, RuleText] = {
    "Base URL": RuleText(
        _("One address answers OAI-PMH requests, and Identify names that same address as baseURL."),
        _("Harvesters ask at the base URL and show it; a wrong one makes them ask another server, or none."),
        _(
            "Switch OAI-PMH on and state its public https address: EPrints base_url in cfg.d/oai.pl; DSpace "
            "oai.url in oai.cfg; OJS oai = On and base_url in config.inc.php; SLiMS "
            "$sysconf['OAI']['Identify']['baseURL']."
        ),
    ),
    "Access for harvesters": RuleText(
        _("The server answers programs that say who they are."),
        _("A firewall or a browser challenge that refuses programs keeps every aggregator out."),
        _("Exempt the OAI-PMH path from the firewall, Cloudflare or captcha rules, and let our User-Agent pass."),
    ),
    "Availability": RuleText(
        _("Every request is answered, within half a minute and in at most 20 MB."),
        _("A harvest needs hundreds of answers in a row; each one that fails delays or ends it."),
        _(
            "Look into the server’s log at the time of the check: mostly memory or time limits of the platform "
            "(max_execution_time for OJS and SLiMS, -Xmx for DSpace) are too low for the page size."
        ),
    ),
    "TLS": RuleText(
        _("The base URL is reached by https with a certificate that browsers trust."),
        _("Without it anybody on the way can change records, and harvesters that verify certificates stop."),
        _(
            "Install a certificate with its whole chain (Let’s Encrypt is free) and state the https address as "
            "base URL."
        ),
    ),
    "Redirects": RuleText(
        _("The base URL answers without sending harvesters on."),
        _("Each redirect costs a request, and some harvesters do not follow it."),
        _("Register the address at the end of the redirects, and state that one in Identify."),
    ),
    "Response time": RuleText(
        _("Each answer comes within 5 seconds; OVAL gives up at 20."),
        _("Slow answers make a harvest last for days and break off in the middle."),
        _(
            "Send fewer records a page and let the server cache: DSpace oai.cache.enabled and `dspace oai import`"
            " every night; EPrints, OJS and SLiMS need indexes on the date columns of their database."
        ),
    ),
    "Content type": RuleText(
        _("Answers are sent as text/xml."),
        _("Harvesters that go by the type take anything else for a web page."),
        _("Let the server send Content-Type: text/xml; charset=UTF-8 for the OAI-PMH path."),
    ),
    "Server clock": RuleText(
        _("responseDate is the present time in UTC, within 5 minutes."),
        _("The next harvest asks for changes since then: with a wrong clock it misses some."),
        _(
            "Synchronise the clock (NTP), and send UTC: SLiMS and Koha write local time with a Z behind it; set "
            "date_default_timezone_set('UTC') for the OAI-PMH script, or update it."
        ),
    ),
    "XML validity": RuleText(
        _("Every answer is well-formed XML in UTF-8, with nothing before or after it."),
        _("One wrong character makes a whole page of records unreadable."),
        _(
            "Remove control characters and pasted bytes from the record named; switch PHP notices off (OJS, "
            "SLiMS: display_errors = Off in php.ini) and save templates without a byte order mark."
        ),
    ),
    "Schema order": RuleText(
        _("Elements stand in the OAI-PMH namespace and in the order of its schema."),
        _("Validators refuse such answers, and strict harvesters with them."),
        _("Update the platform; if templates were changed by hand (SLiMS, Inlislite), put the elements in order."),
    ),
    "Error handling (badVerb)": RuleText(
        _("A wrong request is answered by an OAI-PMH error, with HTTP status 200."),
        _("Harvesters learn from the error code what to do; an error page or a normal answer leads them astray."),
        _("Update the platform; SLiMS: use oai2.php instead of oai.php."),
    ),
    "Identify": RuleText(
        _("Identify holds repositoryName, baseURL, protocolVersion 2.0, adminEmail, earliestDatestamp and more."),
        _("It is the introduction of the repository to every aggregator."),
        _("Update the platform, and fill in name and address of the repository in its settings."),
    ),
    "Contact address": RuleText(
        _("adminEmail is an address at which somebody reads mail."),
        _("Aggregators write there when a harvest fails."),
        _(
            "EPrints adminemail in cfg.d; DSpace mail.admin; OJS principal contact of the site; SLiMS "
            "$sysconf['OAI']['Identify']['adminEmail']."
        ),
    ),
    "Granularity": RuleText(
        _("Datestamps are as exact as Identify says."),
        _("Harvesters ask with dates of the stated form; one that does not fit is refused or finds nothing."),
        _("SLiMS: $sysconf['OAI']['Identify']['granularity'] must fit the datestamps; other platforms: update."),
    ),
    "Deletion policy": RuleText(
        _("deletedRecord is persistent: deleted records stay in the lists, marked as deleted."),
        _("Otherwise the network goes on showing what the repository has removed, until a full comparison."),
        _(
            "EPrints and OJS keep deletions when records are retired or unpublished rather than erased; DSpace: "
            "withdraw items instead of expunging them; SLiMS keeps none: the network compares full lists."
        ),
    ),
    "Earliest datestamp": RuleText(
        _("earliestDatestamp is a date not later than that of any record."),
        _("Harvesters that begin there miss what is older, or ask for centuries of nothing."),
        _("Update the platform, or set the date of the first record; SLiMS leaves it empty: upgrade to oai2.php."),
    ),
    "Datestamps": RuleText(
        _("Each record has a datestamp of its latest change, in UTC and not in the future."),
        _("Datestamps decide which records the next harvest brings."),
        _(
            "Set the server and its database to UTC, and avoid bulk changes that touch every record; SLiMS: use "
            "oai2.php instead of oai.php, which sends no datestamps."
        ),
    ),
    "Record identifiers (oai: scheme)": RuleText(
        _("Identifiers have the form oai:domain:number, with the repository’s own domain."),
        _(
            "Identifiers with localhost or the platform’s default are the same in many repositories and cannot be"
            " told apart."
        ),
        _(
            "EPrints archive_id in cfg.d/oai.pl; DSpace oai.identifier.prefix; OJS repository_id in "
            "config.inc.php; SLiMS $sysconf['OAI']['identifierPrefix']. Set it once: later changes make every "
            "record a new one."
        ),
    ),
    "Unique record identifiers": RuleText(
        _("No identifier comes twice in a list."),
        _("Of two records with one identifier only one survives, and lists that shift lose others."),
        _("Update the platform; lists must be sorted by a unique number, not by date alone."),
    ),
    "Metadata format (oai_dc)": RuleText(
        _("The repository offers oai_dc and has records in it."),
        _("Every OAI-PMH repository must offer it, and every aggregator asks for it."),
        _(
            "Enable oai_dc: DSpace in xoai.xml; EPrints metadata_namespaces in cfg.d/oai.pl; OJS plugin “DC "
            "Metadata Format”."
        ),
    ),
    "Complete records": RuleText(
        _("Each record that is not deleted has an identifier and metadata."),
        _("A record without them cannot be used."),
        _("Look at the records named: mostly a required field is empty. DSpace: run `dspace oai import -c` once."),
    ),
    "Sets": RuleText(
        _("ListSets lists the sets, or says that there are none."),
        _("By sets a part can be harvested, such as the open works (OpenAIRE, DRIVER)."),
        _("EPrints sets in cfg.d/oai.pl; DSpace xoai.xml; OJS makes one of each journal section; SLiMS has none."),
    ),
    "Size of the first batch": RuleText(
        _("A page holds 100 to 500 records."),
        _("Smaller pages need many more requests, larger ones break off."),
        _(
            "DSpace maxListRecordsSize in xoai.xml; OJS oai_max_records in config.inc.php; SLiMS "
            "$sysconf['OAI']['ListRecords']['RecordPerSet']; EPrints: the page size in cgi/oai2."
        ),
    ),
    "Resumption token": RuleText(
        _("The token of a page leads to the next page, with other records."),
        _("Where it does not, only the first page can ever be harvested."),
        _("Update the platform (OJS 3.3 lost tokens; SLiMS: use oai2.php), and check that proxies keep the query."),
    ),
    "Resumption token expiration": RuleText(
        _("Tokens are valid for a day; expirationDate says until when."),
        _("A token of a few minutes expires while its page is still under way."),
        _("Lengthen the lifetime where the platform has a setting (OJS: a day as delivered); others: update."),
    ),
    "Resumption token list size": RuleText(
        _("completeListSize tells how many records the list has."),
        _("By it a harvester can prove that nothing was lost."),
        _("EPrints, DSpace, OJS and SLiMS state it as delivered; if it is missing or too small, update."),
    ),
    "Incremental harvesting (day granularity)": RuleText(
        _("ListRecords with from=day brings the records changed since that day, and no older ones."),
        _("Without it everything must be fetched each time, or changes are never seen."),
        _(
            "DSpace: run `dspace oai import` every night; OJS 3.3 and 3.4: update; SLiMS: use oai2.php instead of"
            " oai.php."
        ),
    ),
    "Double-encoded UTF-8": RuleText(
        _("Letters with accents and quotation marks come as they are, not as Ã© or â€™."),
        _("Readers do not find such titles, and cannot read them."),
        _(
            "SLiMS: remove utf8_encode() from the OAI-PMH script; others: repair the import that brought these "
            "records in."
        ),
    ),
    "dc:title": RuleText(
        _("Each record has a title."),
        _("A record without one is not shown by most aggregators."),
        _("Fill in the title of the records named, or map your field to dc:title."),
    ),
    "dc:creator": RuleText(
        _("Each record names its authors."),
        _("Authors are what readers look for after titles, and what joins the same work from several members."),
        _("Make the author a required field of the deposit form, as “Family name, Given name”."),
    ),
    "dc:date (ISO 8601)": RuleText(
        _("Each record has a date of publication that can be read: YYYY, YYYY-MM or YYYY-MM-DD."),
        _("Without it a work is left out when readers choose years."),
        _(
            "Make the date a required field: EPrints “Date”, DSpace dc.date.issued, OJS the publication date, "
            "SLiMS the year of publication in four digits."
        ),
    ),
    "dc:type": RuleText(
        _(
            "Each record says what it is in words of a known vocabulary: article, thesis (skripsi, tesis, "
            "disertasi), book."
        ),
        _("By it readers choose theses or articles; OpenAIRE asks for it."),
        _(
            "EPrints item type; DSpace dc.type from a list of values; OJS section; SLiMS GMD or a content type "
            "such as Skripsi."
        ),
    ),
    "dc:language (ISO 639)": RuleText(
        _("Each record names its language as an ISO 639 code: id or ind, en or eng."),
        _("It decides how words are compared in the search, and readers choose by it."),
        _(
            "DSpace dc.language.iso from a list; OJS: the locale of the submission; EPrints: a field “Language” "
            "mapped to dc:language; SLiMS: choose the language of the item."
        ),
    ),
    "dc:identifier (web link)": RuleText(
        _("Each record has a web address that leads to it."),
        _("Without a link readers find the description, but not the work."),
        _(
            "DSpace: register a handle prefix instead of 123456789 and set handle.canonical.prefix and "
            "dspace.ui.url; EPrints and OJS: base_url; SLiMS: baseURL without a port or localhost."
        ),
    ),
    "Link to the full text": RuleText(
        _("Records link to their file, so that its text can be searched as well."),
        _("Full-text search finds many times more; CORE asks for a direct link."),
        _(
            "EPrints sends it for public documents; OJS through galleys in dc:relation; DSpace: offer xoai or ore"
            " beside oai_dc; SLiMS: attach files with public access."
        ),
    ),
    "dc:rights (licence)": RuleText(
        _("Each record states its licence, best as the address of a Creative Commons licence."),
        _("It tells readers what they may do with the work; OpenAIRE and CORE ask for it."),
        _("EPrints: field “License” of the document; DSpace dc.rights.uri; OJS: licence in the distribution settings."),
    ),
    "Access right": RuleText(
        _(
            "Each record says whether it is open, under embargo, restricted or closed "
            "(info:eu-repo/semantics/openAccess)."
        ),
        _("Readers can choose what they may read at once."),
        _(
            "EPrints: security of the document; DSpace dc.rights or the OpenAIRE context; OJS: DRIVER or OpenAIRE"
            " plugin."
        ),
    ),
}
