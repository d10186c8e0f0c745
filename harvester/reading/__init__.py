"""Files read: what a file is by its content, and its text, taken out in a child process that may be killed."""

from harvester.reading.outcome import Limits, Problem, Reading, State
from harvester.reading.reader import Reader, read_file
from harvester.reading.sniffing import asks_for_login, sniff

__all__ = ["Limits", "Problem", "Reader", "Reading", "State", "asks_for_login", "read_file", "sniff"]
