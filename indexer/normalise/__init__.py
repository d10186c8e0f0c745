"""Normalisers, one module per kind of value: pure, they read what members really send or say None."""
