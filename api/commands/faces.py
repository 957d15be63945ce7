"""`linli faces`: evaluate (vision), calibrate (gateway), and enrol a folder of photographs, here."""

from __future__ import annotations

from gateway.face_commands import faces as app

__all__ = ["app"]
