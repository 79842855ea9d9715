"""A Django database engine on the connection of a Storm store."""
