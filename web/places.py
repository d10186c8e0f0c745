"""Where each platform keeps what mends a problem: settings, files and menus, by their own names."""

from __future__ import annotations

from typing import Any

from flask_babel import lazy_gettext as _l

PLATFORMS = {"eprints": "EPrints", "dspace": "DSpace", "ojs": "OJS", "slims": "SLiMS"}

# By what is to be looked at, then by platform.
PLACES: dict[str, dict[str, Any]] = {
    "record": {
        "eprints": _l(
            "Item → Edit item, complete the fields, deposit again; then bin/epadmin recommit REPOSITORY eprint NUMBER."
        ),
        "dspace": _l(
            "Edit Item → Metadata; then [dspace]/bin/dspace oai import, and [dspace]/bin/dspace oai clean-cache."
        ),
        "ojs": _l(
            "Submissions → Archives → the article → Publication → Title & Abstract and Metadata; the prefix of "
            "identifiers is repository_id under [oai] in config.inc.php."
        ),
        "slims": _l(
            "Bibliography → Bibliographic List → edit and save the title; the prefix of identifiers is "
            "$sysconf['OAI']['identifierPrefix'] in sysconfig.inc.php."
        ),
    },
    "characters": {
        "eprints": _l(
            "Item → Edit item → Details: type title and abstract again; after a correction of many items bin/epadmin "
            "recommit REPOSITORY eprint."
        ),
        "dspace": _l(
            "Edit Item → Metadata: type dc.title and dc.description.abstract again; then [dspace]/bin/dspace oai "
            "import and oai clean-cache."
        ),
        "ojs": _l(
            "Publication → Title & Abstract: clean the abstract in the source view of its editor; in config.inc.php "
            "under [i18n] client_charset = utf-8, and connection_charset = utf8 under [database] or [i18n]."
        ),
        "slims": _l(
            "Bibliography → Bibliographic List: type title and notes again; the tables of the database (biblio above "
            "all) must be utf8."
        ),
    },
    "output": {
        "eprints": _l(
            "The address is $oai->{v2}->{base_url} in archives/REPOSITORY/cfg/cfg.d/oai.pl, mostly /cgi/oai2; errors "
            "are in Apache’s error log."
        ),
        "dspace": _l(
            "oai.enabled = true in config/modules/oai.cfg (DSpace 7 and later); the Solr core of oai.solr.url must "
            "run; formats and sets are in config/crosswalks/oai/xoai.xml."
        ),
        "ojs": _l(
            "In config.inc.php: oai = On under [oai], display_errors = Off under [debug]; in the journal Settings → "
            "Distribution → Access: OAI switched on."
        ),
        "slims": _l(
            "$sysconf['OAI']['enable'] = true in sysconfig.inc.php; display_errors = Off in php.ini; give us oai2.php"
            " rather than oai.php."
        ),
    },
    "paging": {
        "eprints": _l(
            "Pages are made by cgi/oai2 and need no setting; remove filters that changed lately under $oai->{filters}"
            " in cfg.d/oai.pl, and update EPrints."
        ),
        "dspace": _l(
            "maxListRecordsSize in config/crosswalks/oai/xoai.xml (100 is good); rebuild with [dspace]/bin/dspace oai"
            " import -c, at night rather than during a harvest."
        ),
        "ojs": _l(
            "oai_max_records = 100 under [oai] in config.inc.php; update OJS, as some releases of 3.3 lose the token."
        ),
        "slims": _l(
            "$sysconf['OAI']['ListRecords']['RecordPerSet'] = 100 in sysconfig.inc.php; use oai2.php, as the token of"
            " oai.php forgets the dates."
        ),
    },
    "load": {
        "eprints": _l(
            "Apache’s error log, and the memory of its processes (mod_perl); exclude one broken item with "
            "$oai->{filters} in cfg.d/oai.pl while you mend it."
        ),
        "dspace": _l(
            "[dspace]/log/dspace.log, JAVA_OPTS of Tomcat (-Xmx), and whether the Solr core of oai.solr.url answers; "
            "a smaller maxListRecordsSize in xoai.xml."
        ),
        "ojs": _l(
            "PHP’s error log; memory_limit and max_execution_time in php.ini; a smaller oai_max_records under [oai] "
            "in config.inc.php."
        ),
        "slims": _l(
            "PHP’s error log; memory_limit in php.ini; a smaller $sysconf['OAI']['ListRecords']['RecordPerSet'] in "
            "sysconfig.inc.php."
        ),
    },
    "access": {
        "eprints": _l("Let /cgi/oai2 through, also in rules for robots of Apache."),
        "dspace": _l("Let /server/oai/request through (before DSpace 7: /oai/request)."),
        "ojs": _l("Let /index.php/*/oai and /*/oai through."),
        "slims": _l("Let /oai2.php and /oai.php through."),
    },
    "address": {
        "eprints": _l("$c->{host} and $c->{securehost} in cfg.d/10_core.pl; $oai->{v2}->{base_url} in cfg.d/oai.pl."),
        "dspace": _l("dspace.server.url in config/local.cfg; oai.url follows it."),
        "ojs": _l("base_url under [general] and force_ssl = On under [security] in config.inc.php."),
        "slims": _l("$sysconf['OAI']['Identify']['baseURL'] in sysconfig.inc.php; it must name https and no port."),
    },
    "clock": {
        "eprints": _l("EPrints writes UTC by itself: set the clock of the server (timedatectl, chrony)."),
        "dspace": _l("DSpace writes UTC by itself: set the clock of the server (timedatectl, chrony)."),
        "ojs": _l("time_zone under [general] in config.inc.php must be that of the database server too."),
        "slims": _l(
            "oai.php and oai2.php write local time and mark it with Z: in them gmdate() must stand for date()."
        ),
    },
    "dates": {
        "eprints": _l("The datestamp is the field lastmod; bin/epadmin recommit REPOSITORY eprint sets it anew."),
        "dspace": _l("Datestamps come from the index: run [dspace]/bin/dspace oai import every night by cron."),
        "ojs": _l(
            "The datestamp is the last change of the publication; time_zone under [general] in config.inc.php, and an"
            " update of OJS."
        ),
        "slims": _l(
            "$sysconf['OAI']['Identify']['granularity'] in sysconfig.inc.php; oai2.php chooses by input_date, where "
            "last_update would be right."
        ),
    },
    "deletion": {
        "eprints": _l("Actions → Retire item, not Destroy: only a retired item is announced as deleted."),
        "dspace": _l("Edit Item → Status → Withdraw, not Permanently delete; then [dspace]/bin/dspace oai import."),
        "ojs": _l("Publication → Unpublish first, then delete: it leaves the notice of deletion."),
        "slims": _l(
            "SLiMS announces no deletions; this comparison is how we learn of them. Write to us when you delete many."
        ),
    },
    "links": {
        "eprints": _l(
            "host, securehost and http_root in archives/REPOSITORY/cfg/cfg.d/10_core.pl make the addresses; after a "
            "change bin/generate_apacheconf and bin/generate_abstracts REPOSITORY."
        ),
        "dspace": _l(
            "dspace.ui.url, handle.prefix and handle.canonical.prefix in config/local.cfg make the addresses, and the "
            "handle server must run (bin/start-handle-server); then [dspace]/bin/dspace oai import -c."
        ),
        "ojs": _l(
            "base_url and restful_urls under [general] in config.inc.php make the addresses; an article opens only if "
            "it is published in a published issue."
        ),
        "slims": _l(
            "$sysconf['baseurl'] in sysconfig.inc.php makes the addresses; a title opens only if Hide in OPAC is off "
            "in Bibliography → Bibliographic List."
        ),
    },
}
