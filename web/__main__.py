"""`python -m web` is `lumbung`."""

from web.cli import main

main()
