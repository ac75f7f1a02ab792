"""`python -m webnn`: the command line."""

import sys

from webnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
