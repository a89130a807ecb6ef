"""`python -m zoobench` is `zoobench`."""

from zoobench.cli.app import main

main()
