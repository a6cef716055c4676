"""The deployment files against themselves, against Azure's names and against the app. Nothing here talks to Azure."""
