"""How many bits an RSA key may have; apart from `director.tls.keys`, so that settings are read without cryptography."""

from __future__ import annotations

#: What is taken unless an operator lowers it, the lowest that can be set, the largest (a verification with a larger one
#: costs the host more than it is worth).
RSA_FLOOR, RSA_LOWEST, RSA_LARGEST = 2048, 1024, 16384
