"""A month of an estate whose truth is known, and how well the gateway's alerts tell it (docs/score.md)."""
