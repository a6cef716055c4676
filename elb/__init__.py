"""The command line client: ``python -m elb``. It speaks the HTTP API and knows nothing of the app's code.

A package of its own: besides the standard library it needs httpx and rich only (``elb/requirements.txt``), so that it
can be copied to a machine where nothing else of this repository is installed.
"""
