"""The part of flowpack that runs inside the image: ``python -m flowpack_serving``.

A build copies these modules beside the flow and the image installs them as ``flowpack_serving``, so they import each
other relatively, use nothing of flowpack, and run on every Python that promptflow serves on, 3.9 included. Importing
the package loads nothing: the health check starts it every few seconds.
"""
