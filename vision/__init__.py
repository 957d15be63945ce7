"""Looking at images: faces, plates, and the processes that do it. Knows nothing of devices, alerts or the network.

`vision.types`, `vision.gallery` and `vision.pool` are for the gateway's process and load no image library.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
"""onnxruntime 1.29 and newer reports its use to its maker unless this is set before it is first imported."""
