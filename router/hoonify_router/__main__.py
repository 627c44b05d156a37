"""Let ``python -m hoonify_router`` be the command ``hoonify-router``."""

import sys

from hoonify_router.cli import main

if __name__ == "__main__":
    sys.exit(main())
