"""An OpenID 2.0 provider for development and tests. Anybody can be anybody: never publish it."""
