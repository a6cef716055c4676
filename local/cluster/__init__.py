"""A Kubernetes cluster of one process, for development and tests: API, controllers, and pods that really run.

Started as `python -m local.cluster` (`__main__.py`), from tests through `harness.py`. The official Python client
and kubectl talk to it unchanged; pods run as bubblewrap sandboxes. It is never imported by the app.
"""
