"""The tests' OpenAI stub as a process of its own, without a wait that would hide what is measured.

It writes an answer's head and body apart. On a kept connection the system then holds the body back until the client
acknowledges the head, some 40 ms later: more than all the rest of a request.
"""

from __future__ import annotations

import socketserver

from tests.openai_stub import main

if __name__ == "__main__":
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    main()
