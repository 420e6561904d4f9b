# What is given for each system that the stand-in has. Not a list of what the flake supports.
make: {
  x86_64-linux = make "x86_64-linux";
  aarch64-linux = make "aarch64-linux";
}
