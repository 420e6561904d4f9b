"""The real service under load, killed again and again: is what it acknowledged there?"""
