"""``python -m benchmarks`` runs every benchmark."""

from __future__ import annotations

from benchmarks import assembly, check, context_and_lock

if __name__ == "__main__":
    context_and_lock.main()
    assembly.main()
    check.main()
