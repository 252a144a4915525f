"""Settings of every test."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "2")  # before torch is imported; processes that tests start inherit it
