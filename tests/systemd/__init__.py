"""The rendered units in a Debian guest with a real systemd: a container, or a virtual machine.

`tests/systemd/rendered` holds what the NixOS modules make of each scenario, as text. Here a guest
is made of Debian's programs in which those units run unmodified, and a driver with the verbs of
NixOS' own test driver, so that the named tests of tests/nixos run on it. Not for evaluating the
modules: see tests/nix.
"""
