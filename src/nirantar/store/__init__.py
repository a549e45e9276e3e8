"""The view: the queryable fold of all journals a node holds."""
