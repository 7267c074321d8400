"""Other ways to write the right answers: none of them may be rejected. One file per notebook, RIGHT by number."""
