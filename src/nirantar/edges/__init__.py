"""What the world touches: gather input and state, call, render."""
