"""A project with a user model of its own; test_user_models.py runs it as a process."""
