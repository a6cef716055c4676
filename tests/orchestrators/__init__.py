"""Every branch of the orchestrators, played on a fake context; saved histories, replayed by the SDK's own worker."""
