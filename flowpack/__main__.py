"""``python -m flowpack`` is the ``flowpack`` command."""

import sys

if not getattr(sys.flags, "safe_path", sys.flags.isolated):
    # The working directory, which may be a stranger's checkout with a click.py in it. Python itself has looked there
    # for flowpack already: ``python -I -m flowpack`` does not.
    del sys.path[0]

from flowpack.cli.main import main

if __name__ == "__main__":
    main()
