"""Measurements of speed and memory, each against a peer or a library's limit in the same run. None is a test."""
