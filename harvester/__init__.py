"""The harvester: owns the archive and the catalogue, and asks the members for their records."""
