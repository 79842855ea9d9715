"""A sprint scheduler for a distribution's developer summit: one site on two object mappers."""
