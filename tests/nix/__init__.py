"""Evaluation of the Nix modules without nixpkgs: tests, and what is rendered from the scenarios.

The `.nix` files here stand in for NixOS around our modules (`evaluate.nix`); the Python files run
them and compare or write the results. Nothing here boots a unit: that is `tests/systemd`.
"""
