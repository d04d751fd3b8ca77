"""For every test, before torch is imported."""

import os

# Two workers on two cores: threads that wait for each other's cores cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")
