"""The control loop in virtual time: real orchestrators, activities and observer on stores and a cluster in memory.

``figures`` has what comes out of it: how long a search takes from the end of its Jobs to completed, how long histories
get, what a cluster is asked. ``product`` is the app to play with, ``cluster`` its Jobs; ``engine``, ``execution``,
``tasks`` and ``history`` are the durable framework; ``agenda`` is the time.
"""
