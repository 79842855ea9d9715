"""OpenID 2.0 relying party for ``django.contrib.auth``."""
