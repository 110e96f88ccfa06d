from __future__ import annotations

import os
import signal

from hypothesis import settings

pytest_plugins = ["tests.integration.real_parts", "tests.integration.azure_parts"]

# CI looks at the same examples each time; elsewhere each run looks for others.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# A shell that runs this in the background has it ignore SIGINT, and every command that a test starts with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
