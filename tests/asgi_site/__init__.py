"""A small site that test_asgi serves with uvicorn, on the database that ASGI_STORE_URI names."""
