"""Signals, under the names that django-openid-auth gave them."""

from django.dispatch import Signal

# Sent after a login. sender: UserOpenID; request: HttpRequest; openid_response: Assertion.
openid_login_complete = Signal()

# Sent when OPENID_STRICT_USERNAMES meets a name that another account has. A receiver may rename
# or remove the other account; the name is looked up once more afterwards.
# sender: the user model; username: str.
openid_duplicate_username = Signal()
