"""The command line client, against an API that plays a part; ``tests/e2e/test_client.py`` has it on the whole stack."""
