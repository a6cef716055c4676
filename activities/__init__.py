"""Activities: parse the input, use a client, return data. Each is safe to run twice."""
