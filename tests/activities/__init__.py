"""Activities, and what triggers do with searches, against in-memory fakes of the client Protocols."""
