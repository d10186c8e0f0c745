"""Full text: the files of each record found by a ladder of ways, fetched politely, kept by checksum, and read.

What a record's metadata says of its files comes from above as `ladder.Clues`: this package reads no crosswalk.
"""
