from __future__ import annotations

import os

from hypothesis import settings

pytest_plugins = ["tests.integration.real_parts", "tests.integration.azure_parts"]

# CI looks at the same examples each time; elsewhere each run looks for others.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
