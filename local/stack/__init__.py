"""The supervisor of the one-machine stack: brings everything up, keeps it up, and leaves nothing behind.

Called by ``make up``, ``make down`` and ``make doctor`` (``python -m local.stack``), and as a library by the demo and
the tests (:class:`local.stack.stack.Stack`). What it starts, in this order, each as a process of its own: Azurite, the
cluster emulator, the ARM emulator, and the Functions host with the app.
"""
