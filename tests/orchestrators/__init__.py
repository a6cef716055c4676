"""Every branch of the orchestrators, played on a fake context; and saved histories, replayed by the SDK's own worker."""
