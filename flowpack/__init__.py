"""Takes a Microsoft prompt flow folder to a container image, a registered Azure ML model and a running endpoint."""

__version__ = "0.1.0"
