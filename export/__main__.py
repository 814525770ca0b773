"""`python -m export`: runs the command line; a crash in native code ends with a Python traceback."""

import faulthandler
import sys

from export.cli import main

faulthandler.enable()
sys.exit(main())
