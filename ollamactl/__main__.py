"""`python3 -m ollamactl`."""

from ollamactl.cli import main

main()
