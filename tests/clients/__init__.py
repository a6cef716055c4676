"""The clients of shared/clients against storage, ARM and Kubernetes as near to the real ones as one machine has."""
