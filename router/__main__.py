"""`python -m router` is the command `quorum`."""

import sys

from router.cli.main import main

sys.exit(main())
