"""Settings of every test."""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; tiny tensors are slower on more
for ignored, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(ignored) == signal.SIG_IGN:  # as in the background of a shell; tests send them
        signal.signal(ignored, usual)
