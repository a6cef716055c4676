"""The local Azure Functions host: runs the unchanged app on one machine (`python -m local.host`)."""
