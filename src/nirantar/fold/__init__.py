"""How journals become state: order, version graph, ownership, grants; pure."""
