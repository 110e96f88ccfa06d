from __future__ import annotations

pytest_plugins = ["tests.integration.real_parts", "tests.integration.azure_parts"]
