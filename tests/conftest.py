from __future__ import annotations

pytest_plugins = ["tests.integration.real_parts"]
