"""A whole search, shown: from a database in storage to results that equal plain BLAST's. Run by ``make demo``.

It uses nothing but the HTTP API, as any script could, and an upload into the database container.
"""
