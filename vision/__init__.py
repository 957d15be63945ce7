"""Looking at images: faces, plates, and the processes that do it. Knows nothing of devices, alerts or the network.

`vision.types`, `vision.gallery` and `vision.pool` are for the gateway's process and load no image library.
"""
