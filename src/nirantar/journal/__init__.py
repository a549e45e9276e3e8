"""The append-only log of a node: entries, sequencer, reader, fsck."""
