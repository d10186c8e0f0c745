"""The catalogue: members, harvests, pages and records in SQL. The truth about state."""

from harvester.catalogue.database import Catalogue, open_catalogue

__all__ = ["Catalogue", "open_catalogue"]
