"""The first looks at several clusters come at once: their threads import the official client together."""

from __future__ import annotations

import subprocess
import sys

from local.stack.home import REPOSITORY

PROGRAM = """
import sys, threading, time
from shared.clients.kube import KubeClient
from shared.clients.kube_credentials import KubeAccess

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("kubernetes."):
            time.sleep(0.02)

def connect(number):
    time.sleep(0.03 * number)  # so that each begins in the middle of the imports of those before
    KubeClient(KubeAccess("http://127.0.0.1:1", "", ""), "default", lambda: "token")
    print("connected")

sys.meta_path.insert(0, Slow())
threads = [threading.Thread(target=connect, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_connect_at_once_all_get_a_client() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.stdout.count("connected") == 8, done.stderr
