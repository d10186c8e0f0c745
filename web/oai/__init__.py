"""The OAI-PMH 2.0 endpoint: what re-harvesters are given, out of the catalogue's feed."""
