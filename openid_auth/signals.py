"""Signals; the first two have the names that django-openid-auth gave them."""

from django.dispatch import Signal

# Sent after a login. sender: UserOpenID; request: HttpRequest; openid_response: Assertion.
openid_login_complete = Signal()

# Sent when OPENID_STRICT_USERNAMES meets a name that another account has. A receiver may rename
# or remove the other account; the name is looked up once more afterwards.
# sender: the user model; username: str.
openid_duplicate_username = Signal()

# Sent when a login, a link or a refresh was refused. sender: UserOpenID; request: HttpRequest;
# exception: DjangoOpenIDException.
openid_login_failed = Signal()

# Sent when the provider has vouched for a session again. sender: UserOpenID; request: HttpRequest;
# openid_response: Assertion.
openid_session_refreshed = Signal()

# Sent when a person has linked an identity. sender: UserOpenID; request; identity: UserOpenID.
openid_identity_linked = Signal()

# Sent when a person has unlinked one. sender: UserOpenID; request; user; claimed_id: str.
openid_identity_unlinked = Signal()
