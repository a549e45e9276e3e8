"""Recovery, salvage, verification and the drill."""
