"""The language of the gateway: what devices say, what is decided, what is asked for.

Standard library and msgspec only. No I/O, no clock, no randomness: time is an argument, a deadline is a query.
"""
