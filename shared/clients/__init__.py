"""The only code that talks to anything outside the process: Kubernetes, ARM, tables, blobs, Durable."""
