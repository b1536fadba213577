"""The operator's files: safe expressions, the .cfg directory, the TLI."""
