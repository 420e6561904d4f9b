"""The named tests, by what they look at; ``tests.nixos.registry`` collects them from here."""
