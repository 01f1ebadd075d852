"""The other heads' agents over HTTPS: members, each proved in the handshake, and agents that are not trusted yet."""
