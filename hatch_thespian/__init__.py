"""A hatch plugin: a table in pyproject.toml becomes, on ``hatch build``, a signed .tls file."""
