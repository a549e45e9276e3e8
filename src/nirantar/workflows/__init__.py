"""Hospital work as pure decisions: state and command give a transaction."""
