"""Azure Resource Manager for one emulated AKS cluster: a development tool, never imported by the app.

Started by the supervisor (``python -m local.azure``) and by the tests of the ARM client. It answers what the product
asks for: the cluster, its agent pools, start and stop as long-running operations, its credentials, resource groups and
role assignments, all with ARM's error shape and codes. Starting and stopping switches the cluster emulator on and off.
"""
