"""The contract of the API as data: what every route takes and answers, and the OpenAPI document made of it.

Nothing here runs when a request is served but one for the document. The answers' models are not used to write answers:
that would cost time on every request. Tests hold the two against each other instead.
"""
