"""The indexer: turns catalogued records into documents, and documents into something that can be searched."""
