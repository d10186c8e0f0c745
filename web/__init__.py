"""The discovery site, and the command line over all three packages."""
