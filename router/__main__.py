"""`python -m router` is the command `quorum`."""

import sys

from router.cli import main

sys.exit(main())
