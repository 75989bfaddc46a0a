"""`python -m lenet98.demo` is `lenet98 demo`."""

import sys

from lenet98.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
