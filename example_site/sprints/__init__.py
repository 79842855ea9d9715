"""The sprint scheduler: the programme is kept by Storm, people and what they say by Django."""
