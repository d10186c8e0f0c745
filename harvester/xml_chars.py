"""What XML cannot hold, whoever writes it. Spec: XML 1.0, 2.2."""

from __future__ import annotations

import re

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that no XML document has, not even as a reference."""
