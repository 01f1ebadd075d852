"""This head's certificate and keys: the CA, TLS, tokens."""
