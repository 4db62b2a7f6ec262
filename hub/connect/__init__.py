"""The connector kit: manifest, registry, client, auth, vault, signatures, operations and reads."""
