"""The extensions: each module makes a request and reads the signed part of an answer."""
