"""Normalisers: one module per kind of value; pure functions that read what members really send, or say None."""
