"""The steps from one release's control store to the next; a step that a store has seen is never changed."""
