"""Patches of the schema that the tests of storm_schema apply."""
