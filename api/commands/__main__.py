"""`python -m api.commands`: the same as `custody-server`."""

import sys

from api.commands import main

sys.exit(main())
